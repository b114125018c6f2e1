"""Volumes and snapshots of this machine: folders, their copies, checks and removal."""
