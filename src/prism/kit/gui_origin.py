"""The web GUI's origin, which is new at each start of the daemon.

While the daemon is down, another program can listen on its port. What it gives a browser, such as
a service worker, belongs to the origin in the address, and stays there when the daemon is back. So
browsers use the API from an origin that no program could know before: `http://prism--….localhost`.
No workspace has such a name.
"""

import base64
import secrets
from typing import Any

from prism.kit.http import header

ORIGIN_PREFIX = "prism--"
RANDOM_BYTES = 15
UNREGISTER = b"""// Prism registers no service worker. Another program did; this removes it.
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil((async () => {
  await self.registration.unregister();
  const pages = await self.clients.matchAll({ type: 'window' });
  await Promise.allSettled(pages.map((page) => page.navigate(page.url)));
})()));
"""
UNREGISTER_HEADERS = [
    (b"content-type", b"text/javascript; charset=utf-8"),
    (b"content-length", str(len(UNREGISTER)).encode()),
    (b"cache-control", b"no-store"),
    (b"service-worker-allowed", b"/"),
    (b"x-content-type-options", b"nosniff"),
]


def new_gui_label() -> str:
    """The first label of the GUI's host name."""
    random = base64.b32encode(secrets.token_bytes(RANDOM_BYTES))
    return ORIGIN_PREFIX + random.decode().lower()


def is_of_browser(scope: Any) -> bool:
    """Whether a browser sent it: scripts cannot remove or set these headers."""
    return any(name in {b"origin", b"sec-fetch-site"} for name, _ in scope["headers"])


def is_worker_script(scope: Any) -> bool:
    """Whether a browser fetches the script of a service worker, to register or to update it."""
    return scope["type"] == "http" and header(scope, b"service-worker") == b"script"


def host_parts(host: str) -> tuple[str, str, str]:
    """The name, the colon and the port of a `Host`; the last two are empty without a port."""
    if host.endswith("]") or ":" not in host:
        return host, "", ""
    return host.rpartition(":")


def address(scope: Any, label: str, host: str) -> bytes:
    """The requested address at the GUI's origin, with the port of the requested `host`."""
    _, colon, port = host_parts(host)
    path: bytes = scope.get("raw_path") or scope["path"].encode("ascii", "ignore")
    query = b"?" + scope["query_string"] if scope.get("query_string") else b""
    return f"http://{label}.localhost{colon}{port}".encode() + path + query


async def send_unregister(send: Any) -> None:
    """Answer with a worker that removes itself, then visits its pages again.

    `Clear-Site-Data` here would remove the worker before it can do the latter.
    """
    await send({"type": "http.response.start", "status": 200, "headers": UNREGISTER_HEADERS})
    await send({"type": "http.response.body", "body": UNREGISTER})


def unregister_unless_served(send: Any) -> Any:
    """An answer from a workspace to a request for a worker's script.

    A script that the workspace does not have was not registered by it.
    """
    refused = False

    async def send_script(message: Any) -> None:
        nonlocal refused
        if message["type"] == "http.response.start" and message["status"] in {404, 405, 410}:
            refused = True
            await send_unregister(send)
        elif not refused:
            await send(message)

    return send_script


async def send_redirect(send: Any, location: bytes) -> None:
    """Lead a browser to the GUI's origin; nothing of Prism's is stored at the plain one."""
    headers = [
        (b"location", location),
        (b"content-length", b"0"),
        (b"cache-control", b"no-store"),
        (b"clear-site-data", b'"storage"'),
        (b"referrer-policy", b"no-referrer"),
    ]
    await send({"type": "http.response.start", "status": 302, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
