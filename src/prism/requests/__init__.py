"""Requests for more money, time, size or workspaces, and the answers to them."""
