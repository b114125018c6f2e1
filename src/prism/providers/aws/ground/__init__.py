"""What a launch on AWS stands on: found, or made so that asking twice makes one."""
