"""`prism ssh` and `prism exec`: OpenSSH's own client, told where to go."""

from __future__ import annotations

import os
import shlex
import sys
import time

from prism.cli.connection import daemon
from prism.cli.parser import UsageError, named
from prism.cli.terminal import show_json
from prism.client.connection import connection
from prism.errors import NotFound, Unavailable

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from prism.client.wire import Wire

# Runs a program and ends with its exit code, or 128 + N after signal N: of a signal `ssh` itself
# would make 255, which is also its own failure.
TOLD = ("sh", "-c", '"$@"; exit $?', "sh")
SOON = 5.0  # seconds until a workspace without SSH is believed to have none
INSTALL = "Install OpenSSH's client: `apt install openssh-client`, `dnf install openssh-clients`"


class NoSsh(Unavailable, code="NO_SSH"):
    """That workspace has no SSH, or it cannot be reached from here."""


class SshEntry:
    """How one workspace is entered: what `ssh`, `scp` and a configuration have to know."""

    def __init__(self, name: str, said: dict[str, Any]) -> None:
        if not (command := said.get("command")):
            raise NoSsh(f"{name} has no SSH", remediation=f"See `prism connect {name}`")
        words = shlex.split(command)
        own = {word: words[at + 1] for at, word in enumerate(words[:-1]) if word in {"-i", "-o"}}
        self.host, self.user = str(said["host"]), str(said["user"])
        self.port = int(said.get("port") or 22)
        self.key = own.get("-i", "")
        self.known_hosts = own.get("-o", "").partition("UserKnownHostsFile=")[2]
        if self.key and not os.path.exists(self.key):
            raise NoSsh(
                f"The key of {name} is not on this computer",
                details=f"the daemon keeps it in {self.key}",
                remediation="Use `prism` on the computer where the daemon runs",
            )

    @property
    def settings(self) -> dict[str, str]:
        """What a `Host` of an `ssh_config` says."""
        found = {"HostName": self.host, "Port": str(self.port), "User": self.user}
        if self.key:
            found |= {"IdentityFile": _literal(self.key), "IdentitiesOnly": "yes"}
        if self.known_hosts:
            found["UserKnownHostsFile"] = _literal(self.known_hosts)
            found["StrictHostKeyChecking"] = "yes"
        return found

    @property
    def options(self) -> list[str]:
        """The same, as `ssh`, `scp` and `sftp` take it."""
        return [
            word for name, value in self.settings.items() for word in ("-o", f"{name}={value}")
        ]


def ssh_entry(name: str, wire: Wire) -> SshEntry:
    """How that workspace is entered at this moment."""
    return SshEntry(name, connection(wire, name)["ssh"])


def awaited_entry(name: str) -> SshEntry:
    """`ssh_entry` for one command; waits until the workspace's SSH port is open.

    A daemon that has just started opens it a moment after its first answer.
    """
    wire, until = daemon(), time.monotonic() + SOON
    while not (said := connection(wire, name)["ssh"]).get("command"):
        if time.monotonic() > until:
            break
        time.sleep(0.1)
    return SshEntry(name, said)


def become(argv: list[str]) -> None:
    """Be that program from now on: its input, its output, its exit code."""
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)
    except FileNotFoundError:
        raise missing(argv[0]) from None


def missing(program: str) -> NotFound:
    """What is said where OpenSSH is not there."""
    return NotFound(f"`{program}` is not installed here", remediation=INSTALL)


def _literal(path: str) -> str:
    """A path as OpenSSH reads it: `%` and blanks mean something to it."""
    escaped = path.replace("%", "%%")
    return f'"{escaped}"' if " " in path or "'" in path else escaped


def _ssh(asked: Namespace) -> None:
    """A shell; or a line for one, as `ssh` takes it."""
    terminal = ["-t"] if asked.command and sys.stdin.isatty() and sys.stdout.isatty() else []
    _run(asked, terminal, " ".join(asked.command))


def _exec(asked: Namespace) -> None:
    """One program with exactly these words."""
    if not asked.command:
        hint = f"Such as `prism exec {asked.name} -- python --version`"
        raise UsageError("no command to run", hint)
    _run(asked, ["-tt" if asked.tty else "-T"], shlex.join((*TOLD, *asked.command)))


def _run(asked: Namespace, manner: list[str], line: str) -> None:
    # Behind `--` the first word is the host and the rest the command, whatever they begin with.
    entry = awaited_entry(asked.name)
    argv = ["ssh", *entry.options, *manner, "--", entry.host, *([line] if line else [])]
    if asked.json:
        show_json({"argv": argv})
    else:
        become(argv)


def _words(made: ArgumentParser) -> None:
    named(made)
    said = "a command line for its shell, after `--`; default: an interactive shell"
    made.add_argument("command", metavar="COMMAND", nargs="*", help=said)


def _program(made: ArgumentParser) -> None:
    named(made)
    made.add_argument("--tty", "-t", action="store_true", help="run it on a terminal")
    said = "a program and its arguments, after `--`"
    made.add_argument("command", metavar="COMMAND", nargs="*", help=said)


VERBS = {"ssh": (_words, _ssh), "exec": (_program, _exec)}
