"""One SSH connection to each machine, shared by all users of it."""
