"""Machines and storage without a row: shows, restores or destroys them."""
