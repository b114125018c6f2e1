"""Sends mail over SMTP, or into a folder."""
