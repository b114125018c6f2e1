"""Sends webhooks over HTTPS."""
