"""Idle profiles, what each workspace makes of them, and what was put to sleep because of it."""
