"""Shares: one app or the terminal of a workspace, for somebody else, until a time."""
