"""The image, key and role of a launch, found or made once."""
