"""Rights: roles, tokens, one matrix, and one table of routes."""
