"""The network of a sandboxed workspace, its published ports, and which addresses it may reach."""
