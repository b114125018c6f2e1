"""Idle profiles, their verdicts on workspaces, and the history of idle sleep."""
