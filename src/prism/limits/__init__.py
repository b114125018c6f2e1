"""Limits of people and tokens: dollars a month, and what may run at once."""
