"""What separates a workspace from this computer: users, mounts, refused system calls."""
