"""What is put on the machine and runs there: bash, and Python 3.9's standard library."""
