"""`prism connect` and `prism open`: how to get in. Secrets go to stdout only."""

from __future__ import annotations

import os
import sys

from prism.cli.link import daemon
from prism.cli.terminal import clean, say, show_json
from prism.cli.words import named
from prism.client.connection import connection, ports
from prism.client.wire import quoted
from prism.errors import NotFound

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any


def address(service: str, access: dict[str, Any]) -> str:
    """Where a browser goes, token included."""
    url: str = access["url"].rstrip("/")
    start = "/lab" if service.startswith("jupyter") else "/"
    token = access.get("token")
    if token:
        return clean(f"{url}{start}?token={quoted(token)}")
    return clean(url if start == "/" else f"{url}{start}")


def main_service(services: dict[str, Any]) -> str | None:
    """The service that people mean when they name none: JupyterLab, else the first."""
    return next(
        (name for name in services if name.startswith("jupyter")), next(iter(services), None)
    )


def _connect(asked: Namespace) -> None:
    found = connection(daemon(), asked.name)
    if asked.json:
        return show_json(found)
    rows = []
    for service, access in found["services"].items():
        rows.append((clean(service), address(service, access)))
        if access.get("username"):
            login = f"user {clean(access['username'])}"
            secret = access.get("password")
            rows.append(("", f"{login}, password {clean(secret)}" if secret else login))
        if access.get("local_forward"):
            rows.append(("", clean(access["local_forward"])))
    if found["ssh"].get("command"):
        rows.append(("ssh", clean(found["ssh"]["command"])))
    wide = max((len(row[0]) for row in rows), default=0)
    for service, text in rows:
        print(f"{service:<{wide}}  {text}")
    if not rows:
        say(f"{asked.name} has neither a service nor SSH")
    return None


def _open(asked: Namespace) -> None:
    wire = daemon()
    services = connection(wire, asked.name)["services"]
    service = asked.service or main_service(services)
    if service is None or service not in services:
        known = ", ".join(services) or "none"
        raise NotFound(
            f"{asked.name} has no service {service}"
            if service
            else f"{asked.name} has no services",
            details=f"its services: {known}",
            remediation=f"See how to get in: `prism connect {asked.name}`",
        )
    own = {way["service"]: way["url"] for way in ports(wire, asked.name)}
    access = services[service]
    url = address(service, access | {"url": own.get(service, access["url"])})
    if asked.json:
        show_json({"service": service, "url": url})
    elif browser_opens(url):
        say(f"Opened {service} of {asked.name} in the browser")
    else:
        say(f"No browser here; this is the address of {service}:")
        print(url)


def browser_opens(url: str) -> bool:
    """Whether a browser took it; without a display there is none worth asking."""
    seen = {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & os.environ.keys()
    if not seen and sys.platform not in {"darwin", "win32"}:
        return False
    if not url.startswith(("http://", "https://")):
        return False  # a browser would also open files
    import webbrowser  # noqa: PLC0415  cold start: only `open` needs it

    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False


def _service(made: ArgumentParser) -> None:
    named(made)
    made.add_argument("service", metavar="SERVICE", nargs="?", help="default: JupyterLab")


VERBS = {"connect": (named, _connect), "open": (_service, _open)}
