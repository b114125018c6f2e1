"""What runs beside a workspace on its machine; standard library only, shipped as files."""
