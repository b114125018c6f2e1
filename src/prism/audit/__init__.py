"""Who did what, when, and what it was before: the facts, to be searched and exported."""
