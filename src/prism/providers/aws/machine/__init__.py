"""What runs on an instance, and access to it: user data, idle daemon, logs, files, services."""
