"""One SSH connection to each machine, kept and shared by everything that looks inside."""
