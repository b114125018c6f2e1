"""How the client reaches a daemon: its address, connections, requests, and what it trusts."""
