"""Implementations of ports in memory, with the faults of real providers."""
