"""The programs on an EC2 machine: the idle watch, and how a machine stops itself."""
