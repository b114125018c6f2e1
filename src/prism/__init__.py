"""Prism: research workspaces on your own machine and in the cloud."""

__version__ = "0.1.0"
