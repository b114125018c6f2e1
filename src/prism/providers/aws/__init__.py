"""AWS as a provider: one file a port, and one way out to the cloud (`cloud.py`)."""
