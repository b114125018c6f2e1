"""`prism ssh` and `prism exec`: run OpenSSH's client, or Prism's own, with the right options."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time

from prism.annotations import Any, ArgumentParser, Namespace, Sequence
from prism.cli.connection import daemon
from prism.cli.output.terminal import show_json
from prism.cli.parser import UsageError, add_flag, workspace_argument
from prism.client.transport.connection import connection
from prism.client.transport.wire import Wire
from prism.errors import Unavailable

# Runs a program and ends with its exit code, or 128 + N after signal N. `ssh` itself would return
# 255 after a signal, which also means that `ssh` failed.
# By its path: a workspace decides about its PATH.
WITH_EXIT_CODE = ("/bin/sh", "-c", '"$@"; exit $?', "sh")
READY_SECONDS = 5.0  # seconds to wait for a workspace's SSH port
STREAM_PROGRAM = "prism.cli.stream_client"
OWN_PROGRAMS = {"ssh": "prism.cli.ssh_client", "scp": "prism.cli.sftp_client"}
"""What runs instead of OpenSSH's programs where they are not installed."""


class NoSsh(Unavailable, code="NO_SSH"):
    """That workspace has no SSH, or it cannot be reached from here."""


class SshEntry:
    """The data with which `ssh`, `scp` and an `ssh_config` reach one workspace.

    `by` is the command that carries the bytes of SSH through the daemon; without it, SSH connects
    to the workspace's port itself.
    """

    def __init__(
        self, name: str, endpoint: dict[str, Any], by: Sequence[str] = (), home: str = ""
    ) -> None:
        if not (command := endpoint.get("command")):
            raise NoSsh(f"{name} has no SSH", remediation=f"See `prism connect {name}`")
        self.user, self.by = str(endpoint["user"]), list(by)
        if by:
            self.host, self.port, self.key = f"{name}.prism", 22, ""
            self.known_hosts = _pinned(name, endpoint, home)
            return
        words = shlex.split(command)
        flags = {word: words[at + 1] for at, word in enumerate(words[:-1]) if word in {"-i", "-o"}}
        self.host = str(endpoint["host"])
        self.port = int(endpoint.get("port") or 22)
        self.key = flags.get("-i", "")
        self.known_hosts = flags.get("-o", "").partition("UserKnownHostsFile=")[2]
        if self.key and not os.path.exists(self.key):
            raise NoSsh(
                f"The key of {name} is not on this computer",
                details=f"the daemon keeps it in {self.key}",
                remediation="Use `prism ssh` on the computer where the daemon runs. From here, "
                f"`prism files` and `prism tunnel {name} PORT` work",
            )

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a `Host` in an `ssh_config`."""
        options = {"HostName": self.host, "Port": str(self.port), "User": self.user}
        if self.by:
            options["ProxyCommand"] = shlex.join(self.by).replace("%", "%%")
            options |= {"PubkeyAuthentication": "no", "PasswordAuthentication": "no"}
        if self.key:
            options |= {"IdentityFile": _quoted_path(self.key), "IdentitiesOnly": "yes"}
        if self.known_hosts:
            options["UserKnownHostsFile"] = _quoted_path(self.known_hosts)
            options["StrictHostKeyChecking"] = "yes"
        return options

    @property
    def options(self) -> list[str]:
        """The settings as options of `ssh`, `scp` and `sftp`."""
        return [
            word for name, value in self.settings.items() for word in ("-o", f"{name}={value}")
        ]

    @property
    def own_settings(self) -> str:
        """The settings for Prism's own client, as `SshSettings` of `ssh_client.py`."""
        known = {"host": self.host, "port": self.port, "user": self.user}
        known |= {"key": self.key, "known_hosts": self.known_hosts, "by": self.by}
        return json.dumps(known)

    def program(self, name: str) -> list[str]:
        """The command that runs `ssh` or `scp` with the settings: OpenSSH's, or Prism's own."""
        return [name, *self.options] if is_installed(name) else self.own_program(name)

    def own_program(self, name: str) -> list[str]:
        """The command that runs Prism's own program instead of `ssh` or `scp`.

        Both get the host: `ssh` takes it as the next argument, `scp` in the settings.
        """
        # Without -P, a file in the current folder could replace a module.
        return [sys.executable, "-P", "-m", OWN_PROGRAMS[name], self.own_settings]


def is_installed(program: str) -> bool:
    """Whether a program is on PATH."""
    folders = os.get_exec_path()
    return any(os.access(os.path.join(folder, program), os.X_OK) for folder in folders)


def ssh_entry(name: str, wire: Wire) -> SshEntry:
    """How to reach this workspace now."""
    return _entry(name, connection(wire, name)["ssh"], wire)


def _entry(name: str, endpoint: dict[str, Any], wire: Wire) -> SshEntry:
    """The entry; through the daemon, if that can be and PRISM_URL names it.

    With PRISM_URL the daemon may be on another computer, whose ports and keys are not here.
    """
    if not (wire.address.url and endpoint.get("host_key")):
        return SshEntry(name, endpoint)
    # Without -P, a file in the current folder could replace a module.
    by = [sys.executable, "-P", "-m", STREAM_PROGRAM, name]
    return SshEntry(name, endpoint, by, wire.address.home)


def _pinned(name: str, endpoint: dict[str, Any], home: str) -> str:
    """A file with the host key of a workspace, as the daemon says it."""
    folder = os.path.join(home, "ssh")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, f"known-{name}")
    draft = f"{path}.{os.getpid()}.new"
    with open(draft, "w", encoding="ascii") as file:
        file.write(f"{name}.prism {endpoint['host_key']}\n")
    os.replace(draft, path)
    return path


def wait_for_entry(name: str) -> SshEntry:
    """`ssh_entry` for one command; waits until the workspace's SSH port is open.

    A daemon that has just started opens it a moment after its first answer.
    """
    wire, until = daemon(), time.monotonic() + READY_SECONDS
    while not (endpoint := connection(wire, name)["ssh"]).get("command"):
        if time.monotonic() > until:
            break
        time.sleep(0.1)
    return _entry(name, endpoint, wire)


def _quoted_path(path: str) -> str:
    """A path quoted for OpenSSH, which interprets `%` and blanks."""
    escaped = path.replace("%", "%%")
    return f'"{escaped}"' if " " in path or "'" in path else escaped


def _ssh(args: Namespace) -> None:
    """Run a shell, or a command line in a shell, as `ssh` does."""
    terminal = ["-t"] if args.command and sys.stdin.isatty() and sys.stdout.isatty() else []
    _run(args, terminal, " ".join(args.command))


def _exec(args: Namespace) -> None:
    """Run one program with exactly these words as its arguments."""
    if not args.command:
        hint = f"Such as `prism exec {args.name} -- python --version`"
        raise UsageError("no command to run", hint)
    _run(args, ["-tt" if args.tty else "-T"], shlex.join((*WITH_EXIT_CODE, *args.command)))


def _run(args: Namespace, terminal_options: list[str], line: str) -> None:
    # After `--`, the first word is the host and the rest the command, even if they begin with `-`.
    entry = wait_for_entry(args.name)
    command = [*terminal_options, "--", entry.host, *([line] if line else [])]
    argv = [*entry.program("ssh"), *command]
    if args.json:
        show_json({"argv": argv})
    else:
        sys.stdout.flush()
        os.execvp(argv[0], argv)


def _ssh_arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    help_text = "a command line for its shell, after `--`; default: an interactive shell"
    parser.add_argument("command", metavar="COMMAND", nargs="*", help=help_text)


def _exec_arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    add_flag(parser, "--tty", "-t", help="run it on a terminal")
    help_text = "a program and its arguments, after `--`"
    parser.add_argument("command", metavar="COMMAND", nargs="*", help=help_text)


VERBS = {"ssh": (_ssh_arguments, _ssh), "exec": (_exec_arguments, _exec)}
