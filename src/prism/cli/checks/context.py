"""The inputs of the checks, which tests replace."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from msgspec import Struct, field
from msgspec.structs import replace

from prism.cli.checks.trials import TRIAL_TIMEOUT, ProgramResult
from prism.cli.installation.daemon_start import daemon_info
from prism.client.daemon import status_of
from prism.client.errors import DaemonUnreachable
from prism.client.transport.address import DaemonAddress
from prism.client.transport.wire import Wire
from prism.errors import Problem

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
Level = Literal["ok", "warning", "broken", "skipped"]


class Finding(Struct, frozen=True):
    """The result of one check, and how to fix a problem."""

    level: Level
    message: str
    fix: str = ""
    check: str = ""


def ok(message: str) -> Finding:
    """The finding that all is well."""
    return Finding("ok", message)


def warning(message: str, fix: str) -> Finding:
    """The finding that Prism works, but with less speed or fewer features."""
    return Finding("warning", message, fix)


def broken(message: str, fix: str) -> Finding:
    """The finding that Prism does not work."""
    return Finding("broken", message, fix)


def skipped(message: str) -> Finding:
    """The finding that a check was not possible, and why."""
    return Finding("skipped", message)


def run(*argv: str) -> ProgramResult:
    """Run a program, and wait until it has ended."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TRIAL_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return ProgramResult(None, str(error))
    return ProgramResult(done.returncode, done.stdout.decode(errors="replace").strip())


class CheckContext(Struct, frozen=True, kw_only=True):
    """Everything that a check may use."""

    address: DaemonAddress
    environ: Mapping[str, str]
    is_unasked: bool = False
    """Whether the daemon was not asked for its status yet."""
    status: Mapping[str, Any] | None = None
    """The daemon's status; None if no daemon answers, and `fault` says why."""
    fault: Problem | None = None
    daemon_time: float | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    """The content of the daemon's lock file: pid, port."""
    ask: Callable[[Callable[[Any], object]], Any] = lambda method: None
    """Calls a method of the client, and returns the daemon's answer."""
    root: Path = Path("/")
    platform: str = sys.platform
    python: tuple[int, int, int] = sys.version_info[:3]
    which: Callable[[str], str | None] = shutil.which
    run: Callable[..., ProgramResult] = run
    trial: Callable[[str], ProgramResult] = lambda check: ProgramResult(None, "it was not tried")
    """Returns the result of the forked trial of a check."""
    now: Callable[[], float] = time.time

    @property
    def home(self) -> Path:
        """The home's folder."""
        return Path(self.address.home)

    @property
    def no_answer(self) -> str:
        """Why there is no status: no daemon runs, or what the daemon said instead."""
        if self.fault is None or isinstance(self.fault, DaemonUnreachable):
            return "no daemon answers" if self.address.url else "no daemon runs"
        return f"the daemon does not say: {self.fault.message}"

    def kernel(self, path: str) -> str | None:
        """The content of a system file, such as `proc/meminfo`; None if it is missing."""
        try:
            return (self.root / path).read_text(errors="replace")
        except OSError:
            return None

    @classmethod
    def seen(cls, environ: Mapping[str, str], **more: Any) -> Self:
        """The context of the real system; starts no daemon."""
        address = DaemonAddress.read(environ)
        about = {} if address.url else daemon_info(address)
        return cls(address=address, environ=environ, about=about, is_unasked=True, **more)

    def asked(self) -> Self:
        """The context with the answers of its daemon."""
        if not self.is_unasked:
            return self
        try:
            wire = Wire(self.address, TRIAL_TIMEOUT)
            answer = status_of(wire)
            status, at = answer.json(), parse_date(answer.headers.get("date"))
        except (Problem, ValueError) as error:
            fault = error if isinstance(error, Problem) else Problem(str(error))
            return replace(self, fault=fault, is_unasked=False)
        return replace(self, status=status, daemon_time=at, ask=wire.call, is_unasked=False)


def parse_date(header: str | None) -> float | None:
    """The time in a Date header; None if it is not a valid time, such as a leap second."""
    try:
        _, day, month, year, clock, _ = (header or "").split()
        hour, minute, second = map(int, clock.split(":"))
        date = int(year), MONTHS.index(month) + 1, int(day)
        return datetime(*date, hour, minute, second, tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None


Check = Callable[[CheckContext], Finding | Iterable[Finding]]


def run_check(check: Check, context: CheckContext) -> Iterator[Finding]:
    """The findings of a check, with its name."""
    findings = check(context)
    name = check.__name__.replace("_", " ")
    for finding in (findings,) if isinstance(findings, Finding) else findings:
        yield Finding(finding.level, finding.message, finding.fix, name)
