"""Budgets: pools, allocations and reservations."""
