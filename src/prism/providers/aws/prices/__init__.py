"""What AWS charges."""
