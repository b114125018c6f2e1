"""One SSH connection to each machine, shared by everything that uses SSH."""
