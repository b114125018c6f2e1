"""SSH into local workspaces: a port that is open while its machine is on."""
