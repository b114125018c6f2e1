"""Visits: who enters a workspace of somebody else, where, and how long, for its owner to see."""
