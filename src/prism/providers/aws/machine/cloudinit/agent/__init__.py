"""The files that run on the machine: bash, and Python 3.9's standard library."""
