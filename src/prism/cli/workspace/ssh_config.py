"""`prism ssh-config`: lets plain `ssh NAME.prism`, rsync and editors reach workspaces."""

from __future__ import annotations

import os

from prism.annotations import Any, Namespace
from prism.cli.connection import daemon
from prism.cli.output.terminal import ask, clean, require_terminal, say, show_json
from prism.cli.parser import argument
from prism.cli.workspace.ssh import SshEntry, ssh_entry
from prism.client.names import shortest_names
from prism.client.transport.address import DaemonAddress
from prism.client.transport.connection import named
from prism.client.workspaces import Workspaces
from prism.errors import Invalid, Problem

BEGINS = ("host ", "match ", "host\t", "match\t", "host=", "match=")
FILE_COMMENT = "# Written by `prism ssh-config --write`; do it again when workspaces come or go.\n"


def _ssh_config(args: Namespace) -> None:
    hosts, closed = _entries()
    if args.write:
        file = os.path.join(DaemonAddress.read().home, "ssh", "config")
        _replace(file, FILE_COMMENT + _text(hosts, closed), 0o600)
        _include(file, sure=args.yes)
    if args.json:
        return show_json({f"{name}.prism": entry.settings for name, entry in hosts.items()})
    if args.write:
        names = ", ".join(f"{name}.prism" for name in hosts) or "no workspace, none is running"
        return print(f"ssh now knows {names}")
    return print(_text(hosts, closed), end="")


def _entries() -> tuple[dict[str, SshEntry], dict[str, str]]:
    """How to reach each workspace; or why it cannot be reached."""
    wire = daemon()
    hosts: dict[str, SshEntry] = {}
    closed: dict[str, str] = {}
    workspaces = wire.call(Workspaces.list)
    for short, workspace in zip(shortest_names(workspaces), workspaces, strict=True):
        name, state = named(short), clean(workspace["state"])
        if state != "running":
            closed[name] = state
            continue
        try:
            hosts[name] = ssh_entry(name, wire)
        except Problem as problem:  # it has no SSH, or stopped after the list was fetched
            closed[name] = problem.message
    return hosts, closed


def _text(hosts: dict[str, SshEntry], closed: dict[str, str]) -> str:
    parts = [
        f"Host {name}.prism\n"
        + "".join(f"  {word} {value}\n" for word, value in entry.settings.items())
        for name, entry in hosts.items()
    ]
    if closed:
        parts.append("".join(f"# {name}.prism: {clean(why)}\n" for name, why in closed.items()))
    return "\n".join(parts)


def _own_config() -> tuple[str, str]:
    """The user's configuration of OpenSSH: where it is, and what is in it."""
    path = os.path.join(os.path.expanduser("~"), ".ssh", "config")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as opened:
            return path, opened.read()
    except FileNotFoundError:
        return path, ""


def _include(file: str, *, sure: bool) -> None:
    """Make OpenSSH read our file, before any line that belongs to one host only."""
    own, text = _own_config()
    line = f'Include "{file}"'
    for existing in text.splitlines():
        if existing.strip() == line:
            return
        if existing.strip().lower().startswith(BEGINS):
            break
    if not sure:
        _ask(own, line)
        _, text = _own_config()  # it may have changed before the answer
    os.makedirs(os.path.dirname(own), mode=0o700, exist_ok=True)
    _replace(os.path.realpath(own), f"{line}\n{text}", 0o600)
    say(f"Added to {own}: {line}")


def remove_include(file: str, *, dry_run: bool = False) -> str | None:
    """Remove our line from `~/.ssh/config`; returns the path, or None if the line is not there."""
    own, text = _own_config()
    line = f'Include "{file}"'
    lines = text.splitlines(keepends=True)
    remaining = [existing for existing in lines if existing.strip() != line]
    if len(remaining) == len(lines):
        return None
    if not dry_run:
        _replace(os.path.realpath(own), "".join(remaining), 0o600)
    return own


def _ask(path: str, line: str) -> None:
    hint = "Without this question: `prism ssh-config --write --yes`"
    require_terminal(f"{path} was not changed", hint)
    if ask(f"Add the line `{line}` at the top of {path}? [y/N] ").lower() not in {"y", "yes"}:
        raise Invalid(f"{path} was not changed", remediation=f"Add `{line}` at its top yourself")


def _replace(file: str, text: str, mode: int) -> None:
    """Replace a file atomically, and keep its mode and owner."""
    before: Any = None
    try:
        before = os.stat(file)
        mode = before.st_mode & 0o7777
    except FileNotFoundError:
        os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
    draft = f"{file}.{os.getpid()}.new"
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(number, "w", encoding="utf-8", errors="surrogateescape") as out:
            out.write(text)
            os.fchmod(number, mode)
            if before and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(number, before.st_uid, before.st_gid)
        os.replace(draft, file)
    except OSError:
        os.unlink(draft)
        raise


_argument = argument(
    "--write", action="store_true", help="write it to a file that ~/.ssh/config includes"
)
VERBS = {"ssh-config": (_argument, _ssh_config)}
