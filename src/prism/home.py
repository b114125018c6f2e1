"""The folder of a home, its daemon's socket, and the settings in it.

Imports little: every command reads this first, and
should not pay for the other settings.
"""

from __future__ import annotations

import os
import stat

from prism.annotations import Iterator, Mapping
from prism.errors import Conflict

DEFAULT_HOME = "~/.prism"
SHARED = "/tmp"  # anybody may write there, so what is found in it is looked at twice
RUNTIME = "/run/user"  # where most systems make a folder for each user who has signed in
MAX_HOME_BYTES = 100  # bytes; a Unix socket's path may have 107, a terminating NUL included
PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})
# The variables that the home's file may set for the daemon, and for what the daemon starts.
NETWORK_VARIABLES = frozenset(
    {
        *PROXIES,
        *(name.upper() for name in PROXIES),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"),
        *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"),
        *("UV_OFFLINE", "UV_SYSTEM_CERTS", "UV_INSECURE_HOST", "UV_HTTP_TIMEOUT"),
        *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"),
    }
)
PORT = "8947"  # the daemon's TCP port, unless `PRISM_PORT` or the home's file names another

MOST_LINKS = 40


class HomeNotTrusted(Conflict, code="HOME_NOT_TRUSTED"):
    """Another user decides where the home is."""


def folder_of(home: str) -> str:
    """The real path of a home: expands `~`, and follows the symbolic links on the way once."""
    path = os.path.abspath(os.path.expanduser(home))
    if (real := os.path.realpath(path)) != path and (link := link_of_another(path)):
        raise HomeNotTrusted(
            f"{link}, on the way to the home, is a link of another user",
            details="who could lead it to another folder at any time",
            remediation=f"Set PRISM_HOME to the real path, {real}, if that is what you want",
        )
    return real


def link_of_another(path: str) -> str | None:
    """The first link on the way to a path that another user made; None without one."""
    trusted, followed = _trusted_owners(), 0
    at, rest = "/", os.path.abspath(path).split("/")[1:]
    while rest:
        at, rest = os.path.join(at, rest[0]), rest[1:]
        try:
            status = os.lstat(at)
            target = os.readlink(at)
        except FileNotFoundError:
            return None
        except OSError:  # it is no link
            continue
        if status.st_uid not in trusted:
            return at
        followed += 1
        if followed > MOST_LINKS:  # the kernel follows no more
            return None
        whole = os.path.join(os.path.dirname(at), target, *rest)
        at, rest = "/", os.path.abspath(whole).split("/")[1:]
    return None


def check_owner(home: str) -> None:
    """Refuse a home of another user, before anything is read or written in it.

    He could have put links there. Raises `HomeNotTrusted`.
    """
    try:
        status = os.stat(home)
    except OSError:
        return  # it is made later, by us
    if status.st_uid not in _trusted_owners():
        raise HomeNotTrusted(
            f"{home} belongs to the user {status.st_uid}",
            details="who could lead what is written there to other places",
            remediation="Set PRISM_HOME to a folder of yours, or run Prism as that user",
        )


def check_folders_above(home: str) -> None:
    """Refuse a home that another user can replace: one in his folder, or in a folder of everybody.

    A daemon starts there, since the folder may belong to somebody whom its user trusts, but not by
    itself at boot. Raises `HomeNotTrusted`.
    """
    trusted, path = _trusted_owners(), home
    while path != (above := os.path.dirname(path)):
        path = above
        try:
            status = os.stat(path)
        except OSError:
            continue  # it is made later, by us
        if status.st_uid not in trusted:
            raise HomeNotTrusted(
                f"{path} belongs to the user {status.st_uid}",
                details=f"who could put something else in the place of {home}",
                remediation=f"Choose another home: `prism move-home DEST`; or `chown root {path}`",
            )
        if status.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            raise HomeNotTrusted(
                f"Every user may rename what is in {path}",
                details=f"and put something else in the place of {home}",
                remediation=f"Choose another home: `prism move-home DEST`; or `chmod +t {path}`",
            )


def _trusted_owners() -> set[int]:
    """The ids of this user and root; in a container also of users that it does not know."""
    trusted = {os.geteuid(), 0}
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            knows_all = file.read().split() == ["0", "0", "4294967295"]
        if not knows_all:
            with open("/proc/sys/kernel/overflowuid", encoding="ascii") as file:
                trusted.add(int(file.read()))
    except (OSError, ValueError):  # not Linux
        pass
    return trusted


def socket_of(folder: str) -> str:
    """The Unix socket of the daemon in this folder; elsewhere if the path would be too long.

    If another user has taken the name of our folder in the shared one, we choose a random name.
    """
    for path in _sockets_of(folder):
        above = os.path.dirname(path)
        if not os.path.lexists(above) or _is_ours(above):
            return path
    from secrets import token_hex  # noqa: PLC0415  cold start: as rare as an attack

    draft = f"{_socket_folder_file(folder)}.new"
    with open(draft, "w", encoding="ascii") as file:
        file.write(token_hex(8))
    os.replace(draft, _socket_folder_file(folder))
    return _sockets_of(folder)[-1]


def find_socket(folder: str) -> str:
    """The daemon's existing socket, whatever its environment was; else the path of a new one."""
    every = _sockets_of(folder)
    existing = (
        candidate
        for candidate in every
        if os.path.lexists(candidate) and _is_ours(os.path.dirname(candidate))
    )
    return next(existing, every[0]) if len(every) > 1 else every[0]


def _sockets_of(folder: str) -> list[str]:
    """The possible paths of the socket, best first: folders of this user, then the shared one."""
    path = os.path.join(folder, "prism.sock")
    if len(os.fsencode(path)) <= MAX_HOME_BYTES:
        return [path]
    from hashlib import sha256  # noqa: PLC0415  cold start: few homes are that deep

    name = f"{sha256(os.fsencode(folder)).hexdigest()[:16]}.sock"
    uid = os.getuid()
    own = dict.fromkeys([os.environ.get("XDG_RUNTIME_DIR", ""), f"{RUNTIME}/{uid}"])
    bases = [*own, *([os.path.dirname(RUNTIME)] if uid == 0 else [])]
    paths = [f"{base}/prism/{name}" for base in bases if os.path.isabs(base) and _is_ours(base)]
    paths = [candidate for candidate in paths if len(os.fsencode(candidate)) <= MAX_HOME_BYTES]
    ends = ["", *(f"-{end}" for end in _chosen_end(folder))]
    return [*paths, *(f"{SHARED}/prism-{uid}{end}/{name}" for end in ends)]


def _socket_folder_file(folder: str) -> str:
    """The file with the random end of the name of our folder in the shared one, if it has one."""
    return os.path.join(folder, "socket-folder")


def _chosen_end(folder: str) -> list[str]:
    try:
        with open(_socket_folder_file(folder), encoding="ascii") as file:
            end = file.read(16)
    except (OSError, UnicodeError):
        return []
    return [end] if end.isalnum() else []


def _is_ours(folder: str) -> bool:
    try:
        return os.lstat(folder).st_uid == os.getuid()
    except OSError:
        return False


def port_file(folder: str) -> str:
    """The file with the port that the daemon last took without a `PRISM_PORT`."""
    return os.path.join(folder, "port")


def default_port(folder: str) -> str:
    """The daemon's port without a `PRISM_PORT`: the one that it last took, else 8947."""
    try:
        with open(port_file(folder), encoding="ascii") as file:
            text = file.read(16).strip()
    except (OSError, UnicodeError):  # before the first start, or not written by us
        return PORT
    return text if text.isdigit() and 0 < int(text) < 65536 else PORT


def settings_file(folder: str) -> str:
    """The file for settings that need not be exported in every shell."""
    return os.path.join(folder, "env")


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, and what the home's file adds to it; the environment wins."""
    known = dict(environ)
    try:
        path = settings_file(folder_of(known.get("PRISM_HOME") or DEFAULT_HOME))
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeError):  # most homes have none; `prism doctor` tells of a bad one
        return known
    for _, name, value in lines_of(text):
        is_ours = name.startswith("PRISM_") and name != "PRISM_HOME"
        if value and (is_ours or name in NETWORK_VARIABLES) and not known.get(name):
            known[name] = value
    return known


def lines_of(text: str) -> Iterator[tuple[int, str, str | None]]:
    """The line number, name and value of each `NAME=value`; the value is None on an invalid line.

    A line means the same as in a shell, but nothing is expanded.
    """
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            name, sign, value = stripped.removeprefix("export ").partition("=")
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            yield number, name.strip(), value if sign and name.strip().isidentifier() else None
