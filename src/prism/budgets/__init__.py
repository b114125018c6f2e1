"""Budgets: pools of money, what is allocated of them, and what is set aside before it is spent."""
