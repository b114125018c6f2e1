"""Pages of other sites, in the owner's browser, do not reach published ports of a workspace."""

import http.client
import json
import shutil

import pytest

from prism.templates.model import Template
from tests.providers.local.world import World, script

pytestmark = [
    pytest.mark.needs("bwrap"),
    pytest.mark.skipif(not shutil.which("pasta"), reason="there is no pasta here"),
]
# A service without a secret, which lets every page read its answers.
OPEN = """
import http.server, sys
class Open(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(b"secret")
    do_POST = do_OPTIONS = do_GET
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Open).serve_forever()
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """The published port of a service."""
    home = tmp_path_factory.mktemp("published") / "prism"
    home.mkdir()
    world = World(home, home / "cache")
    try:
        id = world.launched(Template(name="open", services={"page": script(OPEN)}))
        report = json.loads((world.root / id / "seen.json").read_bytes())
        if report["network"] != "own":
            pytest.skip(f"workspaces have no network of their own here: {report['network']}")
        yield report["services"]["page"]["port"]
    finally:
        world.close()


def ask(port, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.putrequest(method, "/", skip_host=True)
    for name, text in {"Host": f"127.0.0.1:{port}", **headers}.items():
        connection.putheader(name.replace("_", "-"), text)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"Host": "evil.example"}),
        ("GET", {"Origin": "http://evil.example"}),
        ("OPTIONS", {"Origin": "http://evil.example"}),
        ("POST", {"Origin": "null"}),
        ("GET", {"Origin": "http://other.localhost:8947", "Upgrade": "websocket"}),
        ("GET", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}),
    ],
)
def test_page_of_another_site_is_refused(port, method, headers):
    status, body = ask(port, method, **headers)
    assert (status, b"secret" in body) == (403, False)


@pytest.mark.parametrize("headers", [{}, {"Host": "localhost:9999"}, {"Sec_Fetch_Site": "none"}])
def test_programs_and_own_pages_are_admitted(port, headers):
    assert ask(port, **headers) == (200, b"secret")
    own = f"http://{headers.get('Host', f'127.0.0.1:{port}')}"
    assert ask(port, "POST", **headers, Origin=own) == (200, b"secret")
