"""Reads the boot markers of a machine by SSH; they are the same as on its console."""

from prism.errors import Problem
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.ssh.pool import AS_ROOT, SshPool

ASK = AS_ROOT + (
    "as_root journalctl --boot --unit prism-boot.service --output cat --no-pager --quiet"
    " | grep '^prism-boot: '; true"
)
PATIENCE = 10.0


class SshBootProbe:
    """Implements `readiness.Probe`."""

    def __init__(self, pool: SshPool) -> None:
        self._pool = pool

    def __call__(self, instance: Ec2Instance) -> str | None:
        """The markers of the boot; None if the login failed, or the host key is unknown yet."""
        if self._pool.keys.known(instance.id) is None:
            return None
        try:
            result = self._pool.run(instance.id, ASK, seconds=PATIENCE)
        except Problem:
            return None
        return result.out.decode(errors="replace")
