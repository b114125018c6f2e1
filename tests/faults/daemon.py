"""The real daemon, for machines of AWS's double: nobody can enter those, so their disks obey."""

import re

from prism.daemon.main import main
from prism.errors import Unavailable
from prism.providers.aws.ssh.pool import ScriptResult, SshPool

SHOWING = re.compile(r" sh -s -- (disk|share|leave) ")


def run(pool, id, script, stdin=b"", seconds=0.0):
    """What a machine would do with its disks."""
    if script != "true" and not SHOWING.search(script):
        raise Unavailable(f"Nobody can enter {id}")
    return ScriptResult(b"", "", 0)


if __name__ == "__main__":
    SshPool.run = run  # type: ignore[method-assign]
    raise SystemExit(main())
