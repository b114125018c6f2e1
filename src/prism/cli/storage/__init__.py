"""Commands for volumes, snapshots and copies."""
