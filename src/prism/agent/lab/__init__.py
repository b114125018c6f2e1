"""Workspaces on a lab server: a program that the daemon runs there by SSH for each request."""
