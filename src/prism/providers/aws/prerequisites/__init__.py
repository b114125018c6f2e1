"""What a launch needs besides a network: image, key and role, found or made once."""
