"""User data that set up a plain EC2 machine as its template says. Pure."""
