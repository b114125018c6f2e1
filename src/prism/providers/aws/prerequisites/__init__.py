"""What a launch needs besides a network: image, key, role. Found, or made once."""
