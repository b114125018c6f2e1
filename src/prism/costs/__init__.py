"""Costs: the ledger of what ran when at what price, and every sum that is made of it."""
