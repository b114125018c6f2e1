"""Ports of machines on this computer, through SSH connections; for every provider."""
