"""Connections to workspaces: web pages on their own origin, desktops, terminals."""
