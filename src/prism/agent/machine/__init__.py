"""One machine of a supervisor: its folder, its programs and services, and their output."""
