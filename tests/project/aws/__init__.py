"""A whole daemon on the double of EC2: kills at each point, random schedules, many workspaces."""
