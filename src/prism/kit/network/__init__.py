"""Below HTTP: who is at the other end of a connection, upgrades, and networks of workspaces."""
