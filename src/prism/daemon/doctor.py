"""The findings of `prism doctor` in the daemon's environment.

The checks belong to the command line, which the daemon does not import: it runs the command as a
separate process, which connects to this daemon through the Unix socket like every other client.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping

import msgspec
from litestar.di import NamedDependency

from prism.client.daemon_model import Diagnosis, DoctorFinding
from prism.errors import Unavailable
from prism.kit.clock import Clock, whole
from prism.kit.routes import Routes

CHECK_TIMEOUT = 120.0  # seconds; each check has its own limit
COMMAND = ("-m", "prism.cli.main", "doctor", "--json")
# Variables that name another daemon or another user.
ANOTHERS = ("PRISM_URL", "PRISM_TOKEN")


class DoctorFailed(Unavailable, code="DOCTOR_FAILED"):
    """The checks could not be run."""


class Doctor:
    """Runs the checks, one run at a time."""

    def __init__(self, clock: Clock, home: str, environ: Mapping[str, str] = os.environ) -> None:
        self._clock, self._home, self._environ = clock, home, environ
        self._running = threading.Lock()

    def examine(self) -> Diagnosis:
        """Run all checks now."""
        environ = {name: value for name, value in self._environ.items() if name not in ANOTHERS}
        with self._running:
            findings = self._run(environ | {"PRISM_HOME": self._home})
        return Diagnosis(findings=findings, checked_at=whole(self._clock.now()))

    def _run(self, environ: dict[str, str]) -> tuple[DoctorFinding, ...]:
        hint = "Run it in a shell: `prism doctor`"
        try:
            process = subprocess.run(
                [sys.executable, *COMMAND],
                capture_output=True,
                check=False,
                env=environ,
                stdin=subprocess.DEVNULL,
                timeout=CHECK_TIMEOUT,
            )
            # The exit code says whether something is broken, which the findings say as well.
            return msgspec.json.decode(process.stdout, type=tuple[DoctorFinding, ...])
        except (OSError, subprocess.TimeoutExpired, msgspec.MsgspecError) as error:
            raise DoctorFailed(
                details=f"{type(error).__name__}: {error}", remediation=hint
            ) from error


router = Routes("/api/v1/daemon/doctor", tags=["daemon"])


@router.get(sync_to_thread=True)
def diagnose(doctor: NamedDependency[Doctor]) -> Diagnosis:
    """The present findings of `prism doctor` in the daemon's environment."""
    return doctor.examine()
