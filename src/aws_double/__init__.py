"""An AWS that runs on this machine: the real protocol, the documented rules, faults on order.

It knows nothing of who calls it, and borrows one thing from Prism: the catalog's table of
prices, so that no price is written down twice.
"""
