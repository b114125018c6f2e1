"""The packages of a machine: the environment, its installation, and trees that machines share."""
