"""The parts of the daemon: each is made once, when it is first used."""
