"""EC2, answered by the double and not by moto: `docs/aws-double.md` says why."""
