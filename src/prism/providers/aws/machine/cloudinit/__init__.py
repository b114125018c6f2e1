"""User data: what makes a bare machine of EC2 the one that a template describes. Pure."""
