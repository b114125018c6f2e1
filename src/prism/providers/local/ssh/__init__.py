"""SSH into local workspaces: a door that is open while its machine is on."""
