"""Who may do what: roles, tokens, one matrix, one table of routes."""
