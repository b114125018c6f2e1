"""Workspaces as EC2 instances: launched, surveyed, stopped and started."""
