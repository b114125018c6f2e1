"""Prism's identity and permissions in an AWS account, and the setup by an administrator."""
