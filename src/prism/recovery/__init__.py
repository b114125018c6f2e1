"""What runs somewhere and has no row here: shown, taken back, or destroyed."""
