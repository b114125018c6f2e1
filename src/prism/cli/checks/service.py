"""Checks of the daemon: it answers, belongs to this home, is healthy, and can start."""

import errno
import os
import pwd
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from prism import __version__
from prism.cli.checks.context import CheckContext, Finding, broken, ok, skipped, warning
from prism.cli.checks.trials import (
    MAX_DATABASE_BYTES,
    ForkedTrial,
    database_path,
    unmapped_integrity,
)
from prism.cli.installation.boot_service import installed_services, missing_program
from prism.cli.workspace.locations import is_server_place
from prism.client.errors import DaemonUnreachable
from prism.client.transport.listener import ANY_ADDRESSES, MAPPED, coded, user_ids

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # PostgreSQL answers it with one letter
LISTENING = re.compile(
    r"^\s*\d+: (\S+):([0-9A-F]{4}) \S+ 0A (?:\S+\s+){3}(\d+)\s+\S+\s+(\d+)", re.M
)
LOOPBACK_HOSTS = ("127.0.0.1", "::1")
NEW_ORIGIN = "the GUI's address for browsers is new at each start"
ROOT = 0


def daemon(context: CheckContext) -> Iterator[Finding]:
    """Whether the daemon runs and is healthy."""
    if context.status is not None:
        reasons = context.status.get("reasons", ())
        for why in reasons:
            yield warning(why, "See what it says: `prism daemon logs`")
        if not reasons:
            yield ok(f"{context.status['status']}, up {context.status['uptime']}")
    elif context.fault is not None and (
        context.address.url or not isinstance(context.fault, DaemonUnreachable)
    ):
        message = f"{context.fault.message} ({context.fault.details})"
        yield broken(message, context.fault.remediation or f"Check {context.address.named_by}")
    elif _is_home_locked(context):
        pid = context.about.get("pid", "of somebody")
        message = f"process {pid} holds the lock of the home and does not answer"
        yield broken(message, "End it: `prism daemon stop`. Its log: `prism daemon logs`")
    elif Path(context.address.socket).exists():
        message = "a killed daemon has left its socket behind"
        yield warning(message, "The next start takes its place: `prism daemon start`")
    else:
        yield ok("none runs; the next command starts it")


def lab_servers(context: CheckContext) -> Iterator[Finding]:
    """Whether each lab server in use answers, by the daemon's last look."""
    if context.status is None:
        yield skipped(context.no_answer)
        return
    servers = [place for place in context.status.get("places", ()) if is_server_place(place)]
    for server in servers:
        host = server["place"].partition(":")[2]
        if server["reachable"] is False:
            yield warning(f"{host}: {server['problem']}", f"See whether `ssh {host}` logs in")
        elif server["reachable"] is None:
            yield warning(f"{host} was not asked yet", "`prism doctor`, in a minute")
        else:
            yield ok(f"{host} answers, to {server['identity']}")
    if not servers:
        yield ok("not used")


def version(context: CheckContext) -> Finding:
    """Whether client and daemon have the same version."""
    if context.status is None:
        return skipped(f"this is {__version__}; {context.no_answer}")
    if (daemon_version := context.status["version"]) != __version__:
        message = f"this is {__version__}, the daemon is {daemon_version}"
        return broken(message, "`prism daemon stop`; the next command starts one of this version")
    return ok(f"{__version__}, both")


def port(context: CheckContext) -> Finding:
    """The daemon's port for browsers."""
    configured, ours = context.address.port, str(context.about.get("port", ""))
    if not configured.isdigit():
        return skipped(f"{configured!r} is not a port")
    return _stranger(context, ours or configured) or _own_port(context, configured, ours)


def _own_port(context: CheckContext, configured: str, ours: str) -> Finding:
    """Whether this home's daemon has its port, or can take it."""
    if context.status is not None and ours:
        if configured not in {ours, "0"}:
            message = f"the daemon listens on {ours}, and the settings say {configured}"
            return warning(message, "`prism daemon stop`; the next command starts it with them")
        safe = f"; {NEW_ORIGIN}, so a page of an earlier listener cannot use it"
        return ok(f"{ours}, used by this daemon{safe if _is_origin_new(context) else ''}")
    if configured == "0":
        return ok("any free port")
    finding = _port_finding(context, configured)
    stays = context.address.chosen_port or context.environ.get("PRISM_PUBLIC_URL")
    if finding.level == "broken" and not stays:
        return ok(f"{finding.message}; the daemon takes the next free one")
    return finding


def _is_origin_new(context: CheckContext) -> bool:
    """Whether the GUI's origin is new at each start, which it is not in team mode."""
    if context.about:
        return bool(context.about.get("gui"))
    return context.environ.get("PRISM_AUTH") != "tokens"


def _stranger(context: CheckContext, number: str) -> Finding | None:
    """The finding if another user listens on the port that this home's daemon uses, or last used.

    Who opens the plain address in a browser then gets that user's page.
    """
    is_used = context.about or context.address.chosen_port or (context.home / "port").exists()
    if not is_used or number == "0":  # the first daemon of a home takes the next free port
        return None
    trusted = {os.geteuid(), ROOT, *user_ids(context.address.daemon_user)}
    served = {*ANY_ADDRESSES, *(coded((host, 0)).partition(":")[0] for host in LOOPBACK_HOSTS)}
    strangers = {
        uid
        for address, uid, _ in _listening(context, int(number))
        if address.removeprefix(MAPPED) in served
    } - trusted
    if not strangers:
        return None
    users = " and ".join(_user_name(uid) for uid in sorted(strangers))
    message = (
        f"{users} listens on port {number}, which is the daemon's: do not open "
        f"http://localhost:{number} in a browser. Clients send that program no token"
        + (f", and {NEW_ORIGIN}: `prism gui` opens it" if _is_origin_new(context) else "")
    )
    fix = (
        "If the daemon runs as that user, set PRISM_DAEMON_USER to its name; else have that "
        "program ended, or choose another port: `prism init --port 0`"
    )
    stays = context.address.chosen_port or context.environ.get("PRISM_PUBLIC_URL")
    return (broken if context.status is None and stays else warning)(message, fix)


def _user_name(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _listening(context: CheckContext, number: int) -> list[tuple[str, int, str]]:
    """The address, user and inode of each socket that listens on a port."""
    tables = "".join(context.kernel(f"proc/net/{name}") or "" for name in ("tcp", "tcp6"))
    return [
        (row[1], int(row[3]), row[4])
        for row in LISTENING.finditer(tables)
        if int(row[2], 16) == number
    ]


def _port_finding(context: CheckContext, configured: str) -> Finding:
    try:
        for host in ("127.0.0.1", "::1"):
            _try_to_listen(host, int(configured))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return broken(f"{configured}: {error.strerror}", "Choose another one with PRISM_PORT")
        fix = "End that program, or choose another port: `prism init --port 0` takes any free port"
        return broken(f"{configured} is taken by {_port_holder(context, int(configured))}", fix)
    return ok(f"{configured} is free")


def start_at_boot(context: CheckContext) -> Iterator[Finding]:
    """Whether what starts the daemon at boot would work."""
    services = [*installed_services(context.address.home, str(context.root))]
    for service in services:
        if program := missing_program(service):
            message = f"{service.where} starts {program}, which does not exist"
            yield broken(message, "Write it again: `prism daemon install`")
        elif problem := service.problem():
            yield broken(f"it would not start: {problem.why}", problem.fix)
        else:
            yield ok(f"by {service.where}")
    if not services:
        yield ok("not set up (`prism daemon install`); after a reboot the next command starts it")


def database(context: CheckContext) -> Finding:
    """The daemon's database."""
    file = database_path(context.address.home, context.environ)
    if file is None:
        return _postgres(context.environ["PRISM_DATABASE_URL"])
    path = Path(file)
    if not path.exists():
        return ok("SQLite; the first start makes it")
    if path.stat().st_size > MAX_DATABASE_BYTES:
        return skipped(f"SQLite of {path.stat().st_size >> 20} MiB: too large for a quick check")
    verdict = context.trial("database")
    if verdict.code is not None and verdict.code < 0:
        verdict = ForkedTrial(unmapped_integrity, file).result()
    if verdict.code is None:
        return skipped(f"SQLite was not checked: {verdict.output}")
    if verdict.output != "ok":
        fix = (
            "Restore a backup: `prism restore FILE`; a copy from before the last upgrade may lie "
            f"beside it. Else move {path} away: `prism recover` restores the workspaces"
        )
        return broken(f"{path} is damaged: {verdict.output}", fix)
    return ok(f"SQLite, {path.stat().st_size / 2**20:.1f} MiB, undamaged")


def _postgres(url: str) -> Finding:
    fix = "Start it, or correct PRISM_DATABASE_URL"
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        host = query.get("host", [parts.hostname or "localhost"])[0]
        number = int(query.get("port", [parts.port or 5432])[0])
    except ValueError:
        return broken("PRISM_DATABASE_URL is not an address", "Correct PRISM_DATABASE_URL")
    where = f"PostgreSQL at {host}, port {number}"
    try:
        with _connect(host, number) as connection:
            connection.sendall(SSL_REQUEST)
            answered = connection.recv(1)
    except OSError as error:
        return broken(f"no {where}: {error.strerror or error}", fix)
    if answered not in {b"S", b"N"}:
        return broken(f"what answers at {host}, port {number}, is not a PostgreSQL server", fix)
    return ok(f"{where}, answers")


def _connect(host: str, number: int) -> socket.socket:
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


def _try_to_listen(host: str, number: int) -> None:
    """Raise if the port is taken; nothing can take that of an address that is not here."""
    try:
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError:
        return
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
            listener.listen(1)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise


def _port_holder(context: CheckContext, number: int) -> str:
    """The program that listens on a port, if the kernel shows it."""
    sockets = {f"socket:[{inode}]" for _, _, inode in _listening(context, number)}
    for folder in (context.root / "proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(os.readlink(path) in sockets for path in (folder / "fd").iterdir()):
                return f"{(folder / 'comm').read_text().strip()}, process {folder.name}"
    return "somebody else's program"


def _is_home_locked(context: CheckContext) -> bool:
    """Whether a daemon holds the home's lock; the check itself takes no lock."""
    try:
        inode = (context.home / "daemon.lock").stat().st_ino
    except OSError:
        return False
    locks = context.kernel("proc/locks")
    if locks is None:
        return bool(context.about)
    return re.search(rf"FLOCK .*:{inode} ", locks) is not None


def public_address(context: CheckContext) -> Iterator[Finding]:
    """Whether browsers on other computers reach a shared daemon, and its apps."""
    url = context.environ.get("PRISM_PUBLIC_URL", "").rstrip("/")
    if not url.startswith("https://"):
        yield skipped("PRISM_PUBLIC_URL is not set to an address with https://")
    elif context.status is None:
        yield skipped(context.no_answer)
    else:
        from prism.cli.checks.outside import findings_at  # noqa: PLC0415  cold start: `http`, `ssl`

        yield from findings_at(url, context.environ.get("PRISM_APPS_DOMAIN", ""), context.now())
