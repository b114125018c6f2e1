"""Which requests at a published port come from pages that are not the workspace's.

A browser of the workspace's owner may connect to its published ports, so a page of another site
could send requests there, or read answers by DNS rebinding. Browsers say in the head of a request
whose page sends it; pages cannot change that. Other programs do not send these headers.
"""

import re
from collections.abc import Collection, Mapping

MOST_HEAD_BYTES = 1 << 16
METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS")
BEGINNING = re.compile(rb"(?:%s) " % b"|".join(METHODS))
REQUEST_LINE = re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]\r?\n")
END = re.compile(rb"\r?\n\r?\n")
# This computer, by the names that only it has. The port may be another one, as with `ssh -L`.
AUTHORITY = re.compile(r"(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::(\d+))?", re.IGNORECASE)
ORIGIN = re.compile(r"https?://([^/]*)(?:/.*)?", re.IGNORECASE)
OWN_SITES = ("same-origin", "none")
REASON = b"Prism refused this: a page of another site sent it, or it names another host.\n"
REFUSAL = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(REASON), REASON)
)


def head_of(sent: bytes) -> bytes | None:
    """The head of an HTTP request; empty if it is none, and None if it is not complete yet."""
    if not BEGINNING.match(sent):
        return None if sent and any(method.startswith(sent) for method in METHODS) else b""
    if b"\n" in sent and not REQUEST_LINE.match(sent):
        return b""
    if end := END.search(sent):
        return sent[: end.end()]
    return None if len(sent) < MOST_HEAD_BYTES else sent


def is_foreign(head: bytes, own_ports: Collection[int]) -> bool:
    """Whether a request comes from a page of another site.

    Pages at `own_ports` of this computer are the workspace's.
    """
    headers = _headers(head)
    hosts, origins = headers.get("host", []), headers.get("origin", [])
    if len(hosts) > 1 or len(origins) > 1 or not END.search(head):
        return True
    host = hosts[0] if hosts else ""
    if host and not AUTHORITY.fullmatch(host):
        return True  # another name that leads here
    if origins:
        return not _is_own(origins[0], host, own_ports)
    site = (headers.get("sec-fetch-site") or ["none"])[0]
    if site in OWN_SITES or _opens_page(head, headers):
        return False
    return not any(_is_own(page, host, own_ports) for page in headers.get("referer", []))


def _headers(head: bytes) -> Mapping[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for line in head.decode("latin-1").splitlines()[1:]:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), []).append(value.strip())
    return headers


def _opens_page(head: bytes, headers: Mapping[str, list[str]]) -> bool:
    """Whether a link to the page was followed, which another site can do but not read."""
    words = [*headers.get("sec-fetch-mode", []), *headers.get("sec-fetch-dest", [])]
    return head.startswith(b"GET ") and words == ["navigate", "document"]


def _is_own(page: str, host: str, own_ports: Collection[int]) -> bool:
    if not (origin := ORIGIN.fullmatch(page)) or not (own := AUTHORITY.fullmatch(origin[1])):
        return False
    return origin[1].lower() == host.lower() or int(own[1] or 80) in own_ports
