"""One SSH connection to each machine, shared by all that needs it."""
