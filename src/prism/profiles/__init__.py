"""Profiles: where workspaces are launched, and the default project; chosen by name."""
