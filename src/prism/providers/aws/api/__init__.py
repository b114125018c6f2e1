"""Calls to AWS by `Cloud`, and what they share: errors, rate limits, pages, tags."""
