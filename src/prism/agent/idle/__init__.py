"""Measures what a machine does, and decides whether it is idle."""
