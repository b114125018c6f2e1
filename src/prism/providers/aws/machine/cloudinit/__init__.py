"""User data, which turn a plain EC2 machine into the one of a template. Pure."""
