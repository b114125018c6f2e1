"""Files in the homes of workspaces: list, read, write, rename and remove them."""
