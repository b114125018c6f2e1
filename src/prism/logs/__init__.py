"""What a workspace has said: read from its end, followed as it goes on."""
