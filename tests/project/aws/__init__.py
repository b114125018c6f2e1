"""A whole daemon on EC2's double: killed at every point, left to chance, and a thousand strong."""
