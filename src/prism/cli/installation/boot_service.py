"""Starts the daemon of a home at boot: by systemd, or by cron where there is none.

Both run one script in the home, which sets the environment and becomes the daemon. It is readable
by its user only, since the address of a proxy may contain a password.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

from prism.annotations import Iterator, Mapping
from prism.errors import Conflict, Problem
from prism.home import DEFAULT_HOME, folder_of

SCRIPT = "start-at-boot"
SYSTEMD_RUNS = "run/systemd/system"  # exists while systemd is the init system (sd_booted(3))
SYSTEM_UNITS = "etc/systemd/system"
CRON_RUNS = ("run/crond.pid", "run/cron.pid")
PROGRAM_TIMEOUT_SECONDS = 20
KEPT_VARIABLES = {
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
}
KEPT_PREFIXES = ("AWS_", "PIP_", "UV_")
SECRET_VARIABLES = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
OF_THIS_SHELL = {"PRISM_HOME", "PRISM_URL", "PRISM_TOKEN"}  # no settings of the daemon


class NoBootService(Conflict, code="NO_BOOT_SERVICE"):
    """The daemon cannot be started at boot."""


class BootProblem(NamedTuple):
    """Why an entry has no effect, and the command that helps."""

    why: str
    fix: str


class BootService(ABC):
    """How the daemon of one home starts at boot; `root` is the root of the file system."""

    kind = ""

    def __init__(self, home: str, root: str = "/") -> None:
        self.home, self.root = home, Path(root)
        self.script = os.path.join(home, SCRIPT)

    @property
    @abstractmethod
    def where(self) -> str:
        """What contains the entry, for people."""

    @abstractmethod
    def install(self) -> list[str]:
        """Make the entry; notes about what is still missing."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the entry."""

    @abstractmethod
    def is_installed(self) -> bool:
        """Whether the entry exists."""

    @abstractmethod
    def problem(self) -> BootProblem | None:
        """Why an installed entry has no effect; None if it has."""


class SystemdService(BootService):
    """A unit of systemd: of the system for root, else of the user, who then needs lingering."""

    kind = "systemd"

    def __init__(self, home: str, root: str = "/", *, is_root: bool | None = None) -> None:
        super().__init__(home, root)
        self.is_root = os.geteuid() == 0 if is_root is None else is_root
        self.name = unit_name(home)

    @property
    def unit(self) -> Path:
        """The file of the unit."""
        if self.is_root:
            return self.root / SYSTEM_UNITS / self.name
        configuration = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        return Path(configuration, "systemd", "user", self.name)

    @property
    def where(self) -> str:
        """The file of the unit."""
        return str(self.unit)

    def install(self) -> list[str]:
        """Write the unit and enable it."""
        self.unit.parent.mkdir(parents=True, exist_ok=True)
        self.unit.write_text(unit_text(self.home, self.script, is_root=self.is_root))
        try:
            self._systemctl("daemon-reload")
            self._systemctl("enable", self.name)
        except Problem:
            self.unit.unlink()
            raise
        if self.is_root or self._lingers():
            return []
        done = run_program("loginctl", "enable-linger")
        if done.returncode == 0:
            return []
        user = user_name()
        return [
            f"it starts at your first login, not at boot, until lingering is on ({_words(done)}): "
            f"`sudo loginctl enable-linger {user}`"
        ]

    def remove(self) -> None:
        """Disable the unit, without stopping a daemon that runs, and remove it."""
        self._systemctl("disable", self.name)
        self.unit.unlink(missing_ok=True)
        self._systemctl("daemon-reload")

    def is_installed(self) -> bool:
        """Whether there is a file of the unit."""
        return self.unit.exists()

    def problem(self) -> BootProblem | None:
        """Why the unit does not start at boot."""
        enabled = run_program("systemctl", *self._scope, "is-enabled", self.name)
        if enabled.returncode:
            why = f"{self.name} is not enabled: {_words(enabled)}"
            return BootProblem(why, "Enable it again: `prism daemon install`")
        if not self.is_root and not self._lingers():
            fix = f"Turn it on: `sudo loginctl enable-linger {user_name()}`"
            return BootProblem("lingering is off, so it starts at your first login", fix)
        return None

    @property
    def _scope(self) -> tuple[str, ...]:
        return () if self.is_root else ("--user",)

    def _lingers(self) -> bool:
        done = run_program("loginctl", "show-user", user_name(), "--property=Linger")
        return done.returncode == 0 and done.stdout.strip() == "Linger=yes"

    def _systemctl(self, *words: str) -> None:
        done = run_program("systemctl", *self._scope, *words)
        if done.returncode:
            raise NoBootService(
                f"systemd refused `systemctl {' '.join((*self._scope, *words))}`",
                details=_words(done),
                remediation="See `systemctl status`, then try again: `prism daemon install`",
            )


class CronService(BootService):
    """A line with `@reboot` in the user's crontab."""

    kind = "cron"

    @property
    def where(self) -> str:
        """The table of this user."""
        return f"the crontab of {user_name()}"

    def install(self) -> list[str]:
        """Add the line, unless it is there."""
        before = self._read()
        if (after := with_entry(before, self.script)) != before:
            self._write(after)
        if any((self.root / path).exists() for path in CRON_RUNS):
            return []
        return ["cron does not seem to run on this computer now: `service cron start` starts it"]

    def remove(self) -> None:
        """Remove the line."""
        before = self._read()
        if (after := without_entry(before, self.script)) != before:
            self._write(after)

    def is_installed(self) -> bool:
        """Whether there is such a line."""
        text = self._read()
        return without_entry(text, self.script) != text

    def problem(self) -> BootProblem | None:
        """Whether cron runs."""
        is_running = any((self.root / path).exists() for path in CRON_RUNS)
        fix = "Start cron, for example: `service cron start`"
        return None if is_running else BootProblem("cron does not run, which would start it", fix)

    def _read(self) -> str:
        done = run_program("crontab", "-l")
        if done.returncode == 0:
            return done.stdout
        if any(words in done.stderr.lower() for words in ("no crontab", "no such file")):
            return ""
        raise self._refused(done)

    def _write(self, text: str) -> None:
        done = run_program("crontab", "-", input=text)
        if done.returncode:
            raise self._refused(done)

    @staticmethod
    def _refused(done: subprocess.CompletedProcess[str]) -> NoBootService:
        return NoBootService(
            "cron refused access to your crontab",
            details=_words(done),
            remediation="Ask the administrator to allow it (`/etc/cron.allow`)",
        )


def boot_service(home: str, root: str = "/") -> BootService:
    """The service that this computer offers; raises `NoBootService` if it offers none."""
    if (Path(root) / SYSTEMD_RUNS).exists() and shutil.which("systemctl"):
        service = SystemdService(home, root)
        has_manager = run_program("systemctl", "--user", "show-environment").returncode == 0
        if service.is_root or has_manager:
            return service
    if shutil.which("crontab"):
        return CronService(home, root)
    raise NoBootService(
        "Nothing on this computer can start the daemon at boot",
        details="there is neither systemd for this user nor cron",
        remediation="Install cron (`apt install cron`), then `prism daemon install`; or let "
        "something else run `prism daemon start` at boot",
    )


def installed_services(home: str, root: str = "/") -> Iterator[BootService]:
    """The services that start the daemon of this home at boot."""
    services: list[BootService] = []
    if (Path(root) / SYSTEMD_RUNS).exists() and shutil.which("systemctl"):
        services.append(SystemdService(home, root))
    if shutil.which("crontab"):
        services.append(CronService(home, root))
    for service in services:
        try:
            if service.is_installed():
                yield service
        except NoBootService:  # cron refuses to show the table, so it did not accept a line
            continue


def unit_name(home: str) -> str:
    """The name of the unit, which several homes do not share."""
    if home == folder_of(DEFAULT_HOME):
        return "prism.service"
    from hashlib import sha256  # noqa: PLC0415  cold start: only here

    return f"prism-{sha256(os.fsencode(home)).hexdigest()[:8]}.service"


def unit_text(home: str, script: str, *, is_root: bool) -> str:
    """The unit: workspaces outlive their daemon, so only the daemon's own process is ended."""
    mounts = f"RequiresMountsFor={_quoted(home)}\n" if is_root else ""
    return (
        f"# Made by `prism daemon install`; `prism daemon uninstall` removes it.\n"
        f"[Unit]\n"
        f"Description=Prism's daemon of {_escaped(home)}\n"
        f"{'After=network.target' + chr(10) if is_root else ''}{mounts}"
        f"\n[Service]\n"
        f"Type=exec\n"
        f"ExecStart=/bin/sh {_quoted(script.replace('$', '$$'))}\n"
        f"KillMode=process\n"
        f"Restart=on-abnormal\n"
        f"RestartSec=5\n"
        f"\n[Install]\n"
        f"WantedBy={'multi-user.target' if is_root else 'default.target'}\n"
    )


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """A word in a line of a unit (systemd.syntax(7)); a command line expands `$`, too."""
    plain = _escaped(word).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'


def script_text(home: str, command: list[str], log: str, environ: Mapping[str, str]) -> str:
    """The script that becomes the daemon."""
    known = {**kept_environment(environ), "PRISM_HOME": home}
    exports = "".join(f"export {name}={shlex.quote(known[name])}\n" for name in sorted(known))
    return (
        f"#!/bin/sh\n"
        f"# Made by `prism daemon install`. Settings are in the file `env`.\n"
        f"{exports}"
        f"exec {shlex.join(command)} >>{shlex.quote(log)} 2>&1 </dev/null\n"
    )


def kept_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of a shell that the daemon needs at boot too, without secrets."""
    return {
        name: value
        for name, value in environ.items()
        if (name.upper() in KEPT_VARIABLES or name.startswith(KEPT_PREFIXES))
        and name not in SECRET_VARIABLES
        and "\n" not in value
    }


def settings_of(environ: Mapping[str, str], variables: set[str]) -> dict[str, str]:
    """The daemon's settings in this shell, which the home must keep for a start at boot."""
    names = variables - OF_THIS_SHELL
    return {name: value for name, value in environ.items() if name in names and value}


def with_entry(table: str, script: str) -> str:
    """The crontab with our line, once."""
    lines = without_entry(table, script)
    break_ = "" if not lines or lines.endswith("\n") else "\n"
    return f"{lines}{break_}@reboot {_cron_command(script)}\n"


def without_entry(table: str, script: str) -> str:
    """The crontab without our lines."""
    ours = f"@reboot {_cron_command(script)}"
    return "".join(line for line in table.splitlines(keepends=True) if line.strip() != ours)


def _cron_command(script: str) -> str:
    """The command; cron takes an unescaped `%` for the end of a line (crontab(5))."""
    return f"/bin/sh {shlex.quote(script)}".replace("%", r"\%")


def run_program(*argv: str, input: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program of the system; its messages are in English."""
    try:
        return subprocess.run(
            argv,
            env={**os.environ, "LC_ALL": "C"},
            input=input,
            capture_output=True,
            text=True,
            timeout=PROGRAM_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(argv, 127, "", str(error))


def _words(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}")[-300:]


def user_name() -> str:
    """The name of this user."""
    from pwd import getpwuid  # noqa: PLC0415  not on every system

    try:
        return getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def missing_program(service: BootService) -> str | None:
    """What the script would run and does not exist, as after an update; None if all is there."""
    try:
        lines = Path(service.script).read_text(errors="surrogateescape").splitlines()
    except OSError:
        return service.script
    program = shlex.split(lines[-1])[1] if lines and lines[-1].startswith("exec ") else ""
    return None if os.access(program, os.X_OK) else program or service.script


def write_script(service: BootService, command: list[str], log: str) -> None:
    """Write the script, at once."""
    draft = f"{service.script}.new"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o700)
    with open(handle, "w", encoding=sys.getfilesystemencoding(), errors="surrogateescape") as file:
        os.fchmod(file.fileno(), 0o700)
        file.write(script_text(service.home, command, log, os.environ))
    os.replace(draft, service.script)
