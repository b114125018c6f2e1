"""Commands for money: budgets, allocations, costs."""
