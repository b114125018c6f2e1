"""What runs on an instance and what it tells: user data, idle watch, logs, files, services."""
