"""The computer and what is installed on it."""

import errno
import os
import re
import resource
import socket
import sys
from ipaddress import ip_address

from prism.cli.checks.context import CheckContext, Finding, broken, ok, skipped, warning

MIB = 2**20
OLDEST = (3, 11)
INSTALLERS = {"apt-get": "apt-get install", "dnf": "dnf install", "zypper": "zypper install"}
INSTALLERS |= {"pacman": "pacman -S", "apk": "apk add"}
MIN_OPEN_FILES = 1024
LOCALHOST_NAME = b"doctor.localhost"  # bytes, since text would import a codec
PROGRAMS = {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"}


def python(context: CheckContext) -> Finding:
    """The version of Python."""
    version = ".".join(map(str, context.python))
    if context.python < OLDEST:
        return broken(f"{version} is too old", "Install Python 3.11 or newer, and Prism with it")
    return ok(version)


def uv(context: CheckContext) -> Finding:
    """The installer that makes the environments of local workspaces."""
    import uv  # noqa: PLC0415  not every context has it: that is what is looked for

    try:
        program = os.fspath(uv.find_uv_bin())
    except FileNotFoundError:
        return broken("the uv of this installation is missing", "Reinstall Prism")
    ran = context.run(program, "--version")
    if ran.code != 0:
        return broken(f"uv does not run: {ran.output}", "Reinstall Prism")
    return ok(ran.output)


def installing(context: CheckContext, package: str) -> str:
    """The command that installs a package here."""
    for program, words in INSTALLERS.items():
        if context.which(program):
            return f"sudo {words} {package}"
    return f"Install {package}"


def memory(context: CheckContext) -> Finding:
    """The memory that is left for workspaces."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", context.kernel("proc/meminfo") or "", re.M)
    if match is None:
        return skipped("this system does not say")
    left = int(match[1]) // 1024
    if left < 512:
        fix = "Put a workspace to sleep or stop one: `prism list`"
        return warning(f"{left} MiB left; a JupyterLab needs about 300", fix)
    return ok(f"{left / 1024:.1f} GiB left")


def open_files(context: CheckContext) -> Finding:
    """How many files and connections a daemon may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < MIN_OPEN_FILES:
        most = (
            MIN_OPEN_FILES * 4 if hard == resource.RLIM_INFINITY else min(hard, MIN_OPEN_FILES * 4)
        )
        return warning(f"at most {soft}: many readers at once fail", f"ulimit -n {most}")
    return ok("no limit" if soft == resource.RLIM_INFINITY else f"at most {soft:,}")


def proc(context: CheckContext) -> Finding:
    """Whether the kernel tells which user owns a connection."""
    if context.platform != "linux":
        return skipped("this system has none; other users can connect to the port")
    for path in ("proc/self/stat", "proc/net/tcp", "proc/1/stat"):
        try:  # to read the connections of a busy computer takes long
            os.close(os.open(context.root / path, os.O_RDONLY))
        except OSError:
            return warning(
                f"/{path} cannot be read: programs cannot be told apart",
                "Mount /proc without hidepid, or leave the sandbox that you are in",
            )
    return ok("readable")


def loopback(context: CheckContext) -> Finding:
    """The two addresses of `localhost`."""
    listens = {host: _listens(host) for host in ("127.0.0.1", "::1")}
    if not listens["127.0.0.1"]:
        return broken("nothing can listen on 127.0.0.1", "sudo ip link set lo up")
    hosts = context.kernel("etc/hosts") or ""
    if not listens["::1"] and re.search(r"^\s*::1\s.*\blocalhost\b", hosts, re.M):
        return warning(
            "/etc/hosts says that localhost is ::1, and there is no IPv6 here",
            "Remove `localhost` from the line of ::1 in /etc/hosts",
        )
    return ok("127.0.0.1 and ::1" if listens["::1"] else "127.0.0.1; there is no IPv6 here")


def localhost_names(context: CheckContext) -> Finding:
    """`NAME.localhost`, where browsers find the services of a workspace."""
    try:
        addresses = {address[4][0] for address in socket.getaddrinfo(LOCALHOST_NAME, 80)}
    except OSError:
        return ok("browsers and curl know NAME.localhost; other programs use connect's addresses")
    if strangers := [address for address in addresses if not ip_address(address).is_loopback]:
        return warning(
            f"doctor.localhost is {strangers[0]}, which is not this machine",
            "Ask the administrator of your name server; browsers ignore it",
        )
    return ok("NAME.localhost is this machine, for every program")


def proxy(context: CheckContext) -> Finding:
    """Whether a proxy is used for addresses of this computer, which breaks connections."""
    names = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
    variable = next((name for name in names if context.environ.get(name)), None)
    if variable is None:
        return ok("none for http")
    spared = context.environ.get("no_proxy") or context.environ.get("NO_PROXY") or ""
    if spared.strip() == "*" or "localhost" in re.split(r"[,\s]+", spared):
        return ok(f"{variable}, and not for localhost")
    fix = "export no_proxy=localhost,127.0.0.1,::1"
    return warning(f"{variable} is set, so programs may look for workspaces at the proxy", fix)


def time_zone(context: CheckContext) -> Finding:
    """The time zone in which times are shown."""
    zone = context.environ.get("TZ", "").removeprefix(":")
    if not zone or re.fullmatch(r"<?[A-Za-z+\-0-9]{3,}>?[+-]?\d+.*", zone):
        return ok(zone or "the system's")
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415  cold start: few set it

    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        fix = "Set TZ to a name such as Europe/Berlin, or unset it"
        return warning(f"the time zone TZ={zone!r} is unknown: times are shown in UTC", fix)
    return ok(zone)


def ssh(context: CheckContext) -> Finding:
    """OpenSSH's client, for terminals and files."""
    if missing := [name for name in ("ssh", "scp", "sftp") if context.which(name) is None]:
        message = (
            f"{' and '.join(missing)} not found: `prism ssh`, `exec` and `cp` use Prism's own "
            "client, and your own tools cannot reach workspaces"
        )
        return warning(message, installing(context, "openssh-client"))
    return ok(context.run("ssh", "-V").output.partition(",")[0])


def browser(context: CheckContext) -> Finding:
    """The browser that `prism open` uses."""
    if context.platform == "darwin" or PROGRAMS & context.environ.keys():
        return ok("`prism open` uses it")
    return ok("none here: `prism open` prints the address instead")


def command(context: CheckContext) -> Finding:
    """Whether the `prism` on PATH belongs to this installation."""
    folder = os.path.dirname(sys.executable)
    path = context.which("prism")
    if path is None:
        return warning("`prism` is not on PATH", f'export PATH="{folder}:$PATH"')
    own_path = os.path.join(folder, "prism")
    if os.path.exists(own_path) and os.path.realpath(path) != os.path.realpath(own_path):
        return warning(f"another one comes first on PATH: {path}", f'export PATH="{folder}:$PATH"')
    return ok(path)


def _listens(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as listener:
            listener.bind((host, 0))
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return True
