"""Checks of a shared daemon from outside, at its public address, as a browser would come."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from prism.cli.checks.context import Finding, broken, ok, warning

APP = "prism-check--doctor"  # no workspace: names have no two hyphens, and nobody's handle is it
OUTSIDE_TIMEOUT = 10.0  # seconds for each request
EXPIRES_SOON_DAYS = 14
BODY_BYTES = 2 * 1024 * 1024  # more than proxies pass on by default
NAVIGATION = {
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Site": "none",
    "Accept": "text/html",
}
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


class Answer(NamedTuple):
    """The status, the code of the problem, and where the answer leads."""

    status: int
    code: str
    location: str
    body: Any


def findings_at(url: str, apps_domain: str, now: float) -> Iterator[Finding]:
    """What is wrong at an address, the first cause first; a line for what works."""
    public = urlsplit(url)
    host, port = public.hostname or "", public.port or 443
    hosts = [host, *([f"{APP}.{apps_domain}"] if apps_domain else [])]
    faults = [fault for name in hosts for fault in _reached(name, port, now)]
    yield from faults
    if any(fault.level == "broken" for fault in faults):
        return
    yield from _daemon(host, port) or [ok(f"{url} leads to the daemon")]
    if apps_domain:
        yield from _apps(url, hosts[1], port) or [ok(f"*.{apps_domain} leads to apps")]


def _reached(host: str, port: int, now: float) -> Iterator[Finding]:
    """Whether the name is known, and the certificate covers it."""
    try:
        plain = socket.create_connection((host, port), OUTSIDE_TIMEOUT)
    except socket.gaierror:
        name = f"*.{host.partition('.')[2]}" if host.startswith(APP) else host
        yield broken(f"DNS has no entry for {host}", f"Make an entry for {name}")
        return
    except OSError as error:
        yield broken(f"nothing answers at {host}, port {port}: {error}", "Start the proxy")
        return
    try:
        with closing(ssl.create_default_context().wrap_socket(plain, server_hostname=host)) as tls:
            certificate = tls.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        why = f"the certificate is not valid for {host}: {error.verify_message}"
        yield broken(
            why, f"Get a certificate that covers {host} from an authority that is trusted"
        )
    except OSError as error:
        yield broken(f"there is no TLS at {host}, port {port}: {error}", "Set it up there")
    else:
        ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
        days = int((ends - now) // 86400)
        if days < EXPIRES_SOON_DAYS:
            yield warning(f"the certificate of {host} ends in {days} days", "Renew it")


def _daemon(host: str, port: int) -> list[Finding]:
    answer = _ask((host, port), "GET", "/api/v1/login")
    if answer.code == "HTTPS_REQUIRED":
        fix = "List it in PRISM_TRUSTED_PROXIES, and let it send X-Forwarded-Proto"
        return [broken("the daemon does not believe the proxy that the request came by TLS", fix)]
    if answer.status != 200 or not isinstance(answer.body, dict) or "shared" not in answer.body:
        fix = "Let the proxy pass on Host, to the daemon's port: `prism team setup` writes how"
        return [broken(f"{host} does not lead to Prism: {_said(answer)}", fix)]
    upgrade = _ask((host, port), "GET", "/api/v1/ws", HANDSHAKE)
    if upgrade.status != 401:
        fix = "Let the proxy pass on Upgrade and Connection"
        return [broken(f"WebSockets do not arrive: {_said(upgrade)}", fix)]
    return []


def _apps(url: str, host: str, port: int) -> list[Finding]:
    led = _ask((host, port), "GET", "/", NAVIGATION)
    if led.status != 303 or not led.location.startswith(f"{url}/"):
        fix = "Let the proxy lead all names of the domain to the daemon, with their Host"
        return [broken(f"{host} does not lead to Prism: {_said(led)}", fix)]
    large = _ask((host, port), "POST", "/", {}, bytes(BODY_BYTES))
    if large.status != 401:
        fix = "Let the proxy pass on bodies of any size, such as `client_max_body_size 0` of nginx"
        return [broken(f"large uploads do not arrive: {_said(large)}", fix)]
    return []


def _said(answer: Answer) -> str:
    return f"{answer.status} {answer.code}".strip() if answer.status else answer.code


def _ask(
    place: tuple[str, int],
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """An answer; status 0 with the reason if there is none."""
    connection = http.client.HTTPSConnection(*place, timeout=OUTSIDE_TIMEOUT)
    try:
        with closing(connection):
            connection.request(method, path, body, headers or {})
            got = connection.getresponse()
            text = got.read(100_000)
            location = got.headers.get("Location", "")
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, f"{type(error).__name__}: {error}", "", None)
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    problem = content.get("error") if isinstance(content, dict) else None
    code = str(problem.get("code", "")) if isinstance(problem, dict) else ""
    return Answer(got.status, code, location, content)


def now() -> float:
    """The time, for checks without a context."""
    return time.time()
