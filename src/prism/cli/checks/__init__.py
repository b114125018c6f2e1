"""What `prism doctor` looks at: one small function a thing, which says how it is."""
