"""What surveys tell of the machines, and what is derived from it for the rows and the pages."""
