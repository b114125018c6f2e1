"""Resources without a row: shown, restored or destroyed."""
