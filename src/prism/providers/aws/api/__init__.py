"""Calls to AWS, which `Cloud` makes, and what they share: errors, rate limits, pages, tags."""
