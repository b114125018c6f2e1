"""AWS as a provider: a package for each concern, and one way out to AWS (`api.cloud`).

The daemon uses `places` (the accounts and regions in use), which `build` puts together; `offer` is
what AWS accepts and what it costs, and `unavailable` stands in for a place that cannot be asked.
"""
