"""Asking people to join a project, by mail."""
