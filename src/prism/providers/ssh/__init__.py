"""Workspaces on a lab server, for a person with a login there and no other right."""
