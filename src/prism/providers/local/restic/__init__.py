"""Copies and fetches snapshots with restic."""
