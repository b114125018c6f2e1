"""Costs: the ledger of what ran at what price, and the sums made from it."""
