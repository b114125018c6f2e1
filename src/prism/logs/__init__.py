"""Logs of workspaces: the last lines, and new ones as they come."""
