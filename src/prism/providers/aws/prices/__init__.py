"""AWS's prices."""
