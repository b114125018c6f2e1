"""Commands for this installation: the daemon, its home, its health, its removal."""
