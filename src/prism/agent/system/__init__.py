"""What the agent needs of the operating system: processes, mounts, paths, users."""
