"""Stand-ins for the world, as bad as the real one can be."""
