"""What runs beside the work on a machine itself; standard library only, shipped by file path."""
