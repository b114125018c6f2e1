"""Rewrites the headers of requests and answers that pass the proxy.

A service sees its own address in `Host`, `Origin` and `Referer`, so that its checks of these
headers succeed; the gate has made its own checks before. Headers of one connection and of the
daemon are removed.
"""

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

Header = tuple[bytes, bytes]
ONE_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
        *(b"proxy-authenticate", b"proxy-authorization", b"proxy-connection"),
    }
)
FORGEABLE = frozenset({b"forwarded", b"x-real-ip"})  # and every x-forwarded-…
OURS_ON_ARRIVAL = FORGEABLE | {b"host", b"expect", b"origin", b"referer"}
# The last would clear the browser's data of every workspace, since they are one site.
SERVERS_OWN = frozenset({b"date", b"server", b"alt-svc", b"clear-site-data"})
CREDENTIAL_HEADERS = frozenset({b"cookie", b"authorization", b"set-cookie", b"www-authenticate"})
OUR_COOKIE = re.compile(rb"\s*(__(host|secure)-)?prism", re.IGNORECASE)
OUR_TOKEN = re.compile(rb"\s*bearer\s+prism_", re.IGNORECASE)
HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
DOMAIN = re.compile(rb";\s*domain\s*=[^;]*", re.IGNORECASE)
# On the daemon's own origin, no page of a workspace may run scripts.
INERT = [(b"content-security-policy", b"sandbox"), (b"x-content-type-options", b"nosniff")]


class Route(Struct, frozen=True, kw_only=True):
    """The service's address, and the address that the client uses.

    On the daemon's own origin, a path has `prefix` before the service's path and `query` after
    it; on a workspace's own origin both are empty.
    """

    netloc: bytes
    scheme: bytes = b"http"
    host: bytes = b""
    client: bytes = b""
    prefix: bytes = b""
    query: bytes = b""
    is_secure: bool = False
    """Whether the client uses `https`."""

    @property
    def service(self) -> bytes:
        """The service's own origin."""
        return self.scheme + b"://" + self.netloc


def to_service(headers: Iterable[Header], route: Route) -> list[Header]:
    """The headers of a request for the service."""
    passed_on = [(b"host", route.netloc)]
    received = list(headers)
    dropped = ONE_HOP | OURS_ON_ARRIVAL | _hop_headers(received)
    if route.prefix:
        dropped |= CREDENTIAL_HEADERS
    named = dict(received)
    for name, value in received:
        if name in dropped or name.startswith(b"x-forwarded-"):
            continue
        if name == b"cookie":
            value = _without_our_cookies(value)  # noqa: PLW2901
        if value and not (name == b"authorization" and OUR_TOKEN.match(value)):
            passed_on.append((name, value))
    if b"origin" in named:
        passed_on.append((b"origin", route.service))
    else:  # services that compare it with Origin must meet one name only
        passed_on.append((b"x-forwarded-host", route.host))
    if b"referer" in named:
        passed_on.append((b"referer", _referer(named[b"referer"], route)))
    return [*passed_on, (b"x-forwarded-for", route.client), (b"x-forwarded-proto", b"http")]


def to_client(headers: Iterable[Header], route: Route) -> list[Header]:
    """The headers of an answer for the client."""
    received = [(name.lower(), value) for name, value in headers]
    dropped = ONE_HOP | SERVERS_OWN | _hop_headers(received)
    if route.prefix:
        dropped |= CREDENTIAL_HEADERS
    passed_on = list(INERT) if route.prefix else []
    for name, value in received:
        if name in dropped or name.startswith(b"access-control-"):
            continue
        if name in {b"location", b"content-location"}:
            passed_on.append((name, _location(value, route)))
        elif name == b"set-cookie":
            if not OUR_COOKIE.match(value):
                passed_on.append((name, DOMAIN.sub(b"", value)))
        else:
            passed_on.append((name, value))
    return passed_on


def answer_fault(status: int, headers: Iterable[Header]) -> str:
    """Why an answer cannot be forwarded, such as a line break in a header; empty if it can."""
    if not 200 <= status <= 599:
        return f"its status is {status}"
    for name, value in headers:
        if not HEADER_NAME.fullmatch(name):
            return f"a header is named {name[:40]!r}"
        if CONTROL_BYTES.search(value):
            return f"there are control characters in its header {name.decode()[:40]}"
    return ""


def _hop_headers(headers: Iterable[Header]) -> frozenset[bytes]:
    """The headers that `Connection` names, except the length of the body."""
    connection = b",".join(value for name, value in headers if name == b"connection")
    return frozenset(word.strip().lower() for word in connection.split(b",")) - {b"content-length"}


def _without_our_cookies(value: bytes) -> bytes:
    return b";".join(part for part in value.split(b";") if not OUR_COOKIE.match(part)).strip()


def _referer(value: bytes, route: Route) -> bytes:
    """The `Referer` for the service: our origin is replaced by its own."""
    scheme = b"https://" if route.is_secure else b"http://"
    own_origin = scheme + route.host + route.prefix
    rest = value.removeprefix(own_origin)
    return route.service + rest if rest != value and rest[:1] in b"/" else value


def _location(value: bytes, route: Route) -> bytes:
    """The `Location` for the client: the service's origin is replaced by ours."""
    rest = value.removeprefix(route.service)
    if rest != value and rest[:1] in {b"", b"/", b"?", b"#"}:
        value = rest if rest.startswith(b"/") else b"/" + rest
    if not route.prefix or not value.startswith(b"/") or value.startswith(b"//"):
        return value
    return route.prefix + _with_query(value, route.query)


def _with_query(target: bytes, query: bytes) -> bytes:
    if not query:
        return target
    path, hash_, fragment = target.partition(b"#")
    return path + (b"&" if b"?" in path else b"?") + query + hash_ + fragment


def without_port(query: bytes) -> tuple[bytes, Iterator[str]]:
    """A query without `port`, which is for the daemon, and the ports that it named."""
    words = query.split(b"&") if query else []
    ports = [word for word in words if word.partition(b"=")[0] == b"port"]
    rest = b"&".join(word for word in words if word not in ports)
    return rest, (word.partition(b"=")[2].decode("latin-1") for word in ports)
