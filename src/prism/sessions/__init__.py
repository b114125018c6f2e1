"""People who log in with a browser: sessions, one-time links, identity providers."""
