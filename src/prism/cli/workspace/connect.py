"""`prism connect` and `prism open`. Secrets go to stdout only."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from prism.annotations import Any, ArgumentParser, Mapping, Namespace
from prism.cli.connection import daemon
from prism.cli.output.terminal import clean, say, show_json
from prism.cli.parser import workspace_argument
from prism.client.transport.connection import apps_domain, connection, ports
from prism.client.transport.wire import Wire, quoted
from prism.errors import NotFound, Unavailable


class NoBrowser(Unavailable, code="NO_BROWSER"):
    """No browser can be opened from here."""


OLD = 60.0  # seconds after which a browser has read a redirect page
REDIRECT_PAGE = """\
<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={url}">
<title>Prism</title>
<a href="{url}">Go on</a>
"""


def address(service: str, access: dict[str, Any]) -> str:
    """The address to open in a browser, with the token."""
    url: str = access["url"].rstrip("/")
    start = "/lab" if service.startswith("jupyter") else "/"
    token = access.get("token")
    if token:
        return clean(f"{url}{start}?token={quoted(token)}")
    return clean(url if start == "/" else f"{url}{start}")


def main_service(services: dict[str, Any]) -> str | None:
    """The service that opens if you name none: JupyterLab, else the first."""
    return next(
        (name for name in services if name.startswith("jupyter")), next(iter(services), None)
    )


def _connect(args: Namespace) -> None:
    wire = daemon()
    access_to = connection(wire, args.name)
    if args.json:
        return show_json(access_to)
    rows = []
    for service, access in access_to["services"].items():
        rows.append((clean(service), address(service, access)))
        if access.get("username"):
            login = f"user {clean(access['username'])}"
            secret = access.get("password")
            rows.append(("", f"{login}, password {clean(secret)}" if secret else login))
        if access.get("local_forward"):
            rows.append(("", clean(access["local_forward"])))
    if access_to["ssh"].get("command"):
        rows.append(("ssh", clean(access_to["ssh"]["command"])))
    wide = max((len(row[0]) for row in rows), default=0)
    for service, text in rows:
        print(f"{service:<{wide}}  {text}")
    if access_to["services"] and not (wire.address.url or wire.address.token):
        _show_way_from_elsewhere(wire, args.name, access_to["services"])
    if not rows:
        say(f"{args.name} has neither a service nor SSH")
    elif wire.address.token:
        say(
            "note: these addresses work only on the computer where the daemon runs; from "
            f"here, use `prism tunnel {clean(args.name)}` and `prism ssh {clean(args.name)}`"
        )
    return None


def _show_way_from_elsewhere(wire: Wire, name: str, services: dict[str, Any]) -> None:
    """Print how a browser on another computer reaches the daemon's pages, and this workspace."""
    from prism.cli.installation.daemon_start import daemon_info  # noqa: PLC0415  cold start: only here

    port = str(daemon_info(wire.address).get("port") or wire.address.port)
    print("\nIn a browser on another computer: run this there, and open the address below it")
    print(f"  {forward_command(port, wire.address.socket, os.environ)}")
    urls = {answer["service"]: answer["url"] for answer in ports(wire, name)}
    for service in filter(urls.get, services):
        print(f"  {address(service, services[service] | {'url': urls[service]})}")


def forward_command(port: str, socket: str, environ: Mapping[str, str]) -> str:
    """The command that leads a port of another computer to the daemon's socket on this one.

    SSH is told the address and the port by which this terminal was reached, if it was.
    """
    import getpass  # noqa: PLC0415  cold start: only here
    import platform  # noqa: PLC0415  cold start: only here
    import shlex  # noqa: PLC0415  cold start: only here

    reached = environ.get("SSH_CONNECTION", "").split()
    host, ssh_port = reached[2:] if len(reached) == 4 else (platform.node(), "22")
    words = ["ssh", "-N", *(["-p", ssh_port] if ssh_port != "22" else [])]
    with suppress(KeyError, OSError):  # as in a container whose uid has no name
        host = f"{getpass.getuser()}@{host}"
    return clean(shlex.join([*words, "-L", f"{port}:{socket}", host]))


def _open(args: Namespace) -> None:
    wire = daemon()
    services = connection(wire, args.name)["services"]
    service = args.service or main_service(services)
    if service is None or service not in services:
        known = ", ".join(services) or "none"
        raise NotFound(
            f"No service {service} of {args.name} answers now"
            if service
            else f"No service of {args.name} answers now",
            details=f"services that answer: {known}",
            remediation=f"See why: `prism logs {args.name}`; a template without services has none",
        )
    if wire.address.token and apps_domain(wire) is None:
        raise NoBrowser(
            f"{service} of {args.name} cannot be opened from here",
            details="the daemon is shared, and has no domain for apps",
            remediation=f"Run `prism tunnel {args.name}`, and open the address that it prints",
        )
    urls = {answer["service"]: answer["url"] for answer in ports(wire, args.name)}
    access = services[service]
    url = address(service, access | {"url": urls.get(service, access["url"])})
    if args.json:
        show_json({"service": service, "url": url})
    elif access.get("token"):
        _open_privately(url, Path(wire.address.home) / "open", f"{service} of {args.name}")
    elif browser_opens(url):
        say(f"Opened {service} of {args.name} in the browser")
    else:
        say(f"No browser here; this is the address of {service}:")
        print(url)


def _open_privately(url: str, folder: Path, subject: str) -> None:
    """Open an address that contains a secret, through a private file that redirects to it.

    Everybody on the computer can read the command line of a browser, but not that file.
    """
    page = redirect_page(url, folder) if has_browser() and is_web(url) else None
    if page and _starts_browser(page.as_uri()):
        return say(f"Opened {subject} in the browser")
    if page:
        page.unlink(missing_ok=True)
    say(f"No browser here; this is the address of {subject}:")
    return print(url)


def redirect_page(url: str, folder: Path) -> Path:
    """A new page that redirects to the address; older pages are removed."""
    import html  # noqa: PLC0415  cold start: only `open` needs it
    import secrets  # noqa: PLC0415  cold start: as above
    import time  # noqa: PLC0415  cold start: as above

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in folder.glob("*.html"):
        with suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > OLD:
                old.unlink()
    page = folder / f"{secrets.token_hex(8)}.html"
    number = os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(REDIRECT_PAGE.format(url=html.escape(url)))
    return page


def is_web(url: str) -> bool:
    """Whether an address is an HTTP address; a browser would also open files."""
    return url.startswith(("http://", "https://"))


def has_browser() -> bool:
    """Whether a browser can be started here; without a display it cannot."""
    seen = {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & os.environ.keys()
    return bool(seen) or sys.platform in {"darwin", "win32"}


def browser_opens(url: str) -> bool:
    """Whether a browser took an address without a secret."""
    return has_browser() and is_web(url) and _starts_browser(url)


def _starts_browser(url: str) -> bool:
    import webbrowser  # noqa: PLC0415  cold start: only `open` needs it

    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False


def _open_arguments(parser: ArgumentParser) -> None:
    workspace_argument(parser)
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="default: JupyterLab")


VERBS = {"connect": (workspace_argument, _connect), "open": (_open_arguments, _open)}
