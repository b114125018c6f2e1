"""Ways into a workspace: the web on an origin of its own, desktops, terminals."""
