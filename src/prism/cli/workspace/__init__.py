"""Commands for workspaces: launching, listing, connecting, copying, and their verbs."""
