"""Profiles: where workspaces are launched and who pays, chosen by name."""
