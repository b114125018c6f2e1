"""Invitations to projects, by mail."""
