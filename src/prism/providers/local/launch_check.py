"""Whether a workspace can be started on this computer now, asked before a launch is planned.

Cheap facts (disk space, Python, uv) are read each time. How a workspace would be isolated is tried
with a real program (`agent/sandbox/isolation.py`): the result holds for some minutes, and a later
launch tries again in the background. Only the first launch waits for it, and one whose predecessor
was refused. The package registry is asked meanwhile, and only while the home has no packages yet
(`registry_check.py`). What is unknown is no reason to refuse.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import uv
from msgspec import Struct

from prism.agent.packages.install_failures import known_failure
from prism.agent.protocol import IsolationProbe, IsolationReport, replace_file
from prism.providers.local.registry_check import RegistryCheck
from prism.providers.local.sandbox_paths import reachable
from prism.workspaces.ports import ProviderRefused

log = logging.getLogger(__name__)
AGENT = Path(__file__).parents[2]
PROBE = (
    f"import json, sys; sys.path.insert(0, {str(AGENT.parent)!r}); "
    "from prism.agent.sandbox.isolation import main; sys.exit(main(json.load(sys.stdin)))"
)
PROBE_SECONDS = 10.0
PACKAGES = ("trees/*", "wheels/archive-v*/*")
VALID_SECONDS, REFUSAL_VALID_SECONDS = 600.0, 5.0
MIB = 2**20
LEAST_FREE, LEAST_FREE_WITH_PACKAGES, FEW_FREE = 64 * MIB, 256 * MIB, 2048 * MIB
SAID = "isolation-note"  # the file with the notes that were last given with a launch
DOCTOR = "`prism doctor` says more"
METADATA = ", so they reach the metadata service of a cloud"
AS_YOU = "they run as you, can read your files, and share this computer's network"
AS_ANOTHER = (
    "each is a user of its own, but sees this computer's processes and what every user may read, "
    "and shares its network"
)


class IsolationResult(Struct, frozen=True):
    """How a workspace would be isolated, or why none can start; `at` is a monotonic time."""

    at: float
    report: IsolationReport | None = None
    refusal: str = ""


class LaunchCheck:
    """What a launch on this computer may expect."""

    def __init__(
        self, home: Path, environ: Mapping[str, str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`home` is Prism's; `environ` has the settings of supervisors."""
        self._home, self._environ, self._clock = home, environ, clock
        self._isolation: IsolationResult | None = None
        self._registry = RegistryCheck(home / "cache" / "registry-check", clock)
        self._trying = threading.Lock()

    def notes(self, *, packages: bool) -> tuple[str, ...]:
        """What is weaker here than expected; raises `ProviderRefused` if nothing can start.

        `packages` is whether the workspace has packages to install. What was said with an earlier
        launch of this home is not repeated.
        """
        free = _free_bytes(self._home)
        for reason, remediation in (
            *_missing_tools(),
            *_lack_of_space(free, packages, self._home),
        ):
            raise ProviderRefused(reason, remediation=remediation)
        if needs_registry := packages and not self._has_packages():
            self._registry.ask()
        result = self._tried()  # the registry answers meanwhile
        if result and result.refusal:
            raise ProviderRefused(
                f"No workspace can start here: {result.refusal}",
                remediation="See what is missing: `prism doctor`",
            )
        if needs_registry and (output := self._registry.refusal()):
            raise _no_packages(output)
        notes = isolation_notes(result.report) if result and result.report else ()
        tight = (f"only {free // MIB} MiB are left on the disk of {self._home}",)
        return (
            *(notes if _text(notes) != self._said() else ()),
            *(tight if packages and free < FEW_FREE else ()),
        )

    def launched(self) -> None:
        """A workspace was launched: its notes were given, and are not repeated."""
        result = self._isolation
        if result is None or result.report is None:
            return
        text = _text(isolation_notes(result.report))
        if text != self._said():
            try:
                replace_file(self._home / SAID, text.encode(), durable=False)
            except OSError as error:  # it is said again then
                log.warning("%s cannot be written: %s", self._home / SAID, error)

    def stop(self) -> None:
        """Ask nothing more, and end what is asked now."""
        self._registry.stop()

    def _has_packages(self) -> bool:
        """Whether this home has packages, which may be those that a launch needs."""
        cache = self._home / "cache"  # uv makes its folders before the first download
        return any(path for name in PACKAGES for path in cache.glob(name))

    def _said(self) -> str:
        try:
            return (self._home / SAID).read_text(errors="replace")
        except OSError:
            return ""

    def _tried(self) -> IsolationResult | None:
        """The last result; a new one if there is none, or if it refuses and may have changed."""
        result = self._isolation
        age = self._clock() - result.at if result else 0.0
        if result is None or (result.refusal and age > REFUSAL_VALID_SECONDS):
            with self._trying:
                if self._isolation is result:
                    self._isolation = self._try()
            return self._isolation
        if age > VALID_SECONDS and self._trying.acquire(blocking=False):
            threading.Thread(target=self._try_again, name="isolation", daemon=True).start()
        return result

    def _try_again(self) -> None:
        try:
            self._isolation = self._try()
        finally:
            self._trying.release()

    def _try(self) -> IsolationResult | None:
        probe: IsolationProbe = {
            "reachable": reachable(),
            "told": dict(self._environ),
            "home": str(self._home),
        }
        passed = {key: value for key, value in os.environ.items() if not key.startswith("PRISM_")}
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", PROBE],
                input=msgspec.json.encode(probe),
                capture_output=True,
                env=passed | dict(self._environ),
                cwd="/",
                timeout=PROBE_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("how workspaces are isolated cannot be tried: %s", error)
            return None
        output = (done.stdout or done.stderr).decode(errors="replace").strip()
        if done.returncode == 1 and done.stdout:  # else it is the trial itself that failed
            return IsolationResult(self._clock(), refusal=output.splitlines()[-1])
        try:
            report = msgspec.json.decode(output, type=IsolationReport)
        except msgspec.MsgspecError:
            log.warning("how workspaces are isolated cannot be read: %s", output[-500:])
            return None
        return IsolationResult(self._clock(), report)


def isolation_notes(report: IsolationReport) -> tuple[str, ...]:
    """What is weaker about workspaces here than in a sandbox with a network of its own."""
    notes = []
    sandbox, network = report.get("sandbox") or "", report["network"] or ""
    if sandbox.startswith("none: "):
        why = sandbox.removeprefix("none: ")
        how = AS_YOU if report["user"] == os.geteuid() else AS_ANOTHER
        notes.append(f"workspaces here have no sandbox ({why}): {how}; {DOCTOR}")
    elif report["is_shared"] and report["user"] != os.geteuid():
        notes.append(f"workspaces here share one user id: their disk cannot map ids; {DOCTOR}")
    if network.startswith("shared: "):
        why = network.removeprefix("shared: ")
        notes.append(f"workspaces here share this computer's network{METADATA} ({why}); {DOCTOR}")
    elif unfiltered := report.get("unfiltered"):
        notes.append(
            f"the network of workspaces is not filtered{METADATA} ({unfiltered}); {DOCTOR}"
        )
    if refusal := report.get("unlimited"):
        notes.append(f"the memory of workspaces is not limited here: {refusal}")
    return tuple(notes)


def _text(notes: tuple[str, ...]) -> str:
    return "\n".join(notes)


def _no_packages(output: str) -> ProviderRefused:
    """The refusal, with what uv's output means."""
    known, last = known_failure(output), output.splitlines()[-1].strip().removeprefix("cause: ")
    reason, fix = (f"{known.reason} ({last})", known.fix) if known else (last, "check the network")
    return ProviderRefused(
        f"Packages cannot be downloaded here: {reason}",
        remediation=f"{fix[0].upper()}{fix[1:]}; {DOCTOR}. Then try again in a moment",
    )


def _missing_tools() -> list[tuple[str, str]]:
    """What every workspace needs and is not there, each with what to do."""
    again = "Install Prism again, into an environment that stays"
    if not os.access(sys.executable, os.X_OK):
        return [(f"The Python of Prism is gone: {sys.executable}", again)]
    try:
        uv.find_uv_bin()
    except FileNotFoundError as error:
        return [(f"uv, which installs packages, is gone: {error}", again)]
    return []


def _lack_of_space(free: int, packages: bool, home: Path) -> list[tuple[str, str]]:
    least = LEAST_FREE_WITH_PACKAGES if packages else LEAST_FREE
    if free >= least:
        return []
    return [
        (
            f"There are {free // MIB} MiB left on the disk of {home}, and a workspace needs "
            f"{least // MIB}",
            "Make room: `prism clean` shows what can go",
        )
    ]


def _free_bytes(folder: Path) -> int:
    """The bytes that may be written where the folder is or will be."""
    while not folder.exists():
        folder = folder.parent
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
