"""Reads the boot markers of a machine by SSH: those on its console, and who answers now.

The journal of a boot that hibernated has the markers from before, so the memory that answers is
named again.
"""

from prism.errors import Problem
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.ssh.pool import AS_ROOT, SshPool

PROBE_SCRIPT = AS_ROOT + (
    "as_root journalctl --boot --unit prism-boot.service --output cat --no-pager --quiet"
    " | grep '^prism-boot: '\n"
    'echo "prism-boot: id $(cat /proc/sys/kernel/random/boot_id'
    ' /run/prism-memory 2>/dev/null | tr "\\n" " ")$(date -u +%FT%TZ)"'
)
PROBE_TIMEOUT = 10.0


def boot_markers(pool: SshPool, instance: Ec2Instance) -> str | None:
    """The markers of the boot; None if the login failed, or the host key is unknown yet."""
    if pool.keys.known(instance.id) is None:
        return None
    try:
        result = pool.run(instance.id, PROBE_SCRIPT, seconds=PROBE_TIMEOUT)
    except Problem:
        return None
    return result.out.decode(errors="replace")
