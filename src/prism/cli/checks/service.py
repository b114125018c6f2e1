"""The daemon: whether it answers, is ours, is healthy, and could be started."""

import errno
import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from prism import __version__
from prism.cli.checks.world import Finding, World, broken, ok, skipped, warning

LARGEST = 200 * 2**20  # bytes of a database that is read as a whole
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # what every PostgreSQL answers with a letter
LISTENING = re.compile(r"^\s*\d+: (\S+):([0-9A-F]{4}) \S+ 0A (?:\S+\s+){5}(\d+)", re.M)


def daemon(world: World) -> Iterator[Finding]:
    """The process behind all of this."""
    if world.status is not None:
        reasons = world.status.get("reasons", ())
        for why in reasons:
            yield warning(why, "See what it says: `prism daemon logs`")
        if not reasons:
            yield ok(f"{world.status['status']}, up {world.status['uptime']}")
    elif world.place.url and world.fault is not None:
        said = f"{world.fault.message} ({world.fault.details})"
        yield broken(said, world.fault.remediation or "Check PRISM_URL")
    elif _held(world):
        pid = world.about.get("pid", "of somebody")
        said = f"process {pid} has the home and does not answer"
        yield broken(said, "End it: `prism daemon stop`. Its log: `prism daemon logs`")
    elif Path(world.place.socket).exists():
        said = "one that was killed has left its socket behind"
        yield warning(said, "The next start takes its place: `prism daemon start`")
    else:
        yield ok("none runs; the next command starts it")


def version(world: World) -> Finding:
    """Client and daemon speak the same language."""
    if world.status is None:
        return skipped(f"this is {__version__}; no daemon runs")
    if (theirs := world.status["version"]) != __version__:
        said = f"this is {__version__}, the daemon is {theirs}"
        return broken(said, "`prism daemon stop`; the next command starts one of this version")
    return ok(f"{__version__}, both")


def port(world: World) -> Finding:
    """Where browsers find it."""
    wanted, ours = world.place.port, str(world.about.get("port", ""))
    if not wanted.isdigit():
        return skipped(f"{wanted!r} is not a port")
    if world.status is not None and ours:
        if wanted not in {ours, "0"}:
            said = f"the daemon listens on {ours}, and the settings say {wanted}"
            return warning(said, "`prism daemon stop`; the next command starts it with them")
        return ok(f"{ours}, used by this daemon")
    return ok("any free port") if wanted == "0" else _untaken(world, wanted)


def _untaken(world: World, wanted: str) -> Finding:
    try:
        for host in ("127.0.0.1", "::1"):
            _free(host, int(wanted))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return broken(f"{wanted}: {error.strerror}", "Choose another one with PRISM_PORT")
        fix = "End that, or choose another one: `prism init --port 0` takes any free port"
        return broken(f"{wanted} is taken by {_holder(world, int(wanted))}", fix)
    return ok(f"{wanted} is free")


def database(world: World) -> Finding:
    """Where everything is remembered."""
    url = world.environ.get("PRISM_DATABASE_URL", "")
    if url.startswith("postgres"):
        return _postgres(url)
    named = unquote(url.removeprefix("sqlite:///").partition("?")[0])
    path = Path(named) if url else world.home / "state.db"
    if not path.exists():
        return ok("SQLite; the first start makes it")
    if path.stat().st_size > LARGEST:
        return skipped(f"SQLite of {path.stat().st_size >> 20} MiB: too large for a quick check")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file:
            [[verdict]] = file.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        fix = (
            "Put a backup back: `prism restore FILE`; a copy from before the last upgrade may lie "
            f"beside it. Without one, move {path} away: `prism recover` takes the machines back"
        )
        return broken(f"{path} is damaged: {verdict}", fix)
    return ok(f"SQLite, {path.stat().st_size / 2**20:.1f} MiB, undamaged")


def _postgres(url: str) -> Finding:
    fix = "Start it, or correct PRISM_DATABASE_URL"
    try:
        parts = urlsplit(url)
        more = parse_qs(parts.query)
        host = more.get("host", [parts.hostname or "localhost"])[0]
        number = int(more.get("port", [parts.port or 5432])[0])
    except ValueError:
        return broken("PRISM_DATABASE_URL is not an address", "Correct PRISM_DATABASE_URL")
    where = f"PostgreSQL at {host}, port {number}"
    try:
        with _connected(host, number) as connection:
            connection.sendall(SSL_REQUEST)
            answered = connection.recv(1)
    except OSError as error:
        return broken(f"no {where}: {error.strerror or error}", fix)
    if answered not in {b"S", b"N"}:
        return broken(f"what answers at {host}, port {number}, is not a PostgreSQL server", fix)
    return ok(f"{where}, answers")


def _connected(host: str, number: int) -> socket.socket:
    if not host.startswith("/"):
        return socket.create_connection((host, number), 5)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    try:
        connection.connect(f"{host}/.s.PGSQL.{number}")
    except OSError:
        connection.close()
        raise
    return connection


def _free(host: str, number: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with suppress(_NoSuchAddress), _address(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise _NoSuchAddress from error
            raise
        listener.listen(1)


class _NoSuchAddress(Exception):
    """An address that the machine does not have."""


def _address(family: socket.AddressFamily) -> socket.socket:
    try:
        return socket.socket(family)
    except OSError as error:
        raise _NoSuchAddress from error


def _holder(world: World, number: int) -> str:
    """Who listens there, as far as the kernel tells us."""
    tables = "".join(world.kernel(f"proc/net/{name}") or "" for name in ("tcp", "tcp6"))
    wanted = {
        f"socket:[{row[3]}]" for row in LISTENING.finditer(tables) if int(row[2], 16) == number
    }
    for folder in (world.root / "proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(os.readlink(path) in wanted for path in (folder / "fd").iterdir()):
                return f"{(folder / 'comm').read_text().strip()}, process {folder.name}"
    return "somebody else's program"


def _held(world: World) -> bool:
    """Whether a daemon holds the home's lock; looking takes no lock, so it stops nobody."""
    try:
        inode = (world.home / "daemon.lock").stat().st_ino
    except OSError:
        return False
    locks = world.kernel("proc/locks")
    if locks is None:
        return bool(world.about)
    return re.search(rf"FLOCK .*:{inode} ", locks) is not None
