"""A program of another user that listens on the daemon's port while the daemon is down.

It answers every address with a page that registers a service worker, which then answers for the
whole origin, also without this program.
"""

import http.server
import socket
import sys
import threading

PAGE = b"""<!doctype html><title>planted</title><script>
navigator.serviceWorker.register('/worker.js', {scope: '/'})
  .then(() => navigator.serviceWorker.ready).then(() => { document.title = 'registered'; });
</script>"""
WORKER = b"""
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
const page = () => new Response('<!doctype html><title>planted</title>', {
  headers: {'content-type': 'text/html', 'cross-origin-opener-policy': 'unsafe-none'},
});
self.addEventListener('fetch', (event) => {
  if (event.request.mode === 'navigate' && !event.request.url.includes('let-through'))
    event.respondWith(page());
});
self.addEventListener('message', async (event) => {
  const [target, init] = event.data;
  try { event.source.postMessage(await (await fetch(target, init)).text()); }
  catch (error) { event.source.postMessage(null); }
});
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the page or the worker."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer, whatever the host name."""
        is_worker = self.path == "/worker.js"
        body = WORKER if is_worker else PAGE
        self.send_response(200)
        self.send_header("content-type", "text/javascript" if is_worker else "text/html")
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "max-age=31536000")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""


class Server6(http.server.ThreadingHTTPServer):
    """The same on IPv6."""

    address_family = socket.AF_INET6


def main() -> None:
    """Listen until killed."""
    port = int(sys.argv[1])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    if socket.has_ipv6:
        try:
            second = Server6(("::1", port), Handler)
            threading.Thread(target=second.serve_forever, daemon=True).start()
        except OSError:
            pass  # no IPv6 here
    server.serve_forever()


if __name__ == "__main__":
    main()
