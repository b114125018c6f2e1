"""EC2, answered by us and not by moto: `docs/aws-double.md` says why."""
