"""The checks of `prism doctor`, one small function each."""
