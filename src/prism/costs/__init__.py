"""Costs: the ledger with the price of everything that ran, and its sums."""
