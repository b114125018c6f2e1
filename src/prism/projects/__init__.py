"""Projects: who works together, and what they may spend."""
