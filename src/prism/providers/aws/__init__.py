"""The AWS provider: a package for each concern; every call to AWS goes through `api.cloud`.

The daemon uses `locations` (the accounts and regions in use), which `build` puts together; `offer`
is what AWS accepts and what it costs; `unavailable` stands in for a location that does not answer.
"""
