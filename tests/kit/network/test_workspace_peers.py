"""A workspace that connects to its own daemon over TCP is refused."""

import json
import subprocess
import sys
import urllib.request

import pytest

from tests.project.home import Home

pytestmark = pytest.mark.needs("bwrap")
ASKS = """
import sys, urllib.error, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1]) as answer:
        print(answer.status)
except urllib.error.HTTPError as refused:
    print(refused.code, refused.read().decode())
"""
HIDES = """
import array, socket, sys
def is_answered(port):
    with open("/proc/net/tcp") as connections:
        rows = [line.split() for line in connections]
    own = (row for row in rows[1:] if row[1].endswith(":%04X" % port))
    return any(int(row[4].partition(":")[2], 16) for row in own)  # bytes that nobody has read
one, two = socket.socketpair()
to = socket.socket()
to.connect(("127.0.0.1", int(sys.argv[1])))
port = to.getsockname()[1]
host = b"localhost:" + sys.argv[1].encode()
to.sendall(b"GET /api/v1/instances HTTP/1.1\\r\\nHost: " + host + b"\\r\\n\\r\\n")
socket.send_fds(one, [b"x"], [to.fileno()])
to.close()
while not is_answered(port):
    pass
_, [number], _, _ = socket.recv_fds(two, 1, 1)
again = socket.socket(fileno=number)
print(again.recv(4096).decode())
"""


# A workspace with its own network cannot even reach the loopback of this computer.
SHARED = {"PRISM_WORKSPACE_NETWORK": "shared"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A daemon, and a workspace that runs."""
    home = Home(tmp_path_factory.mktemp("peers") / "home")
    with home.run_daemon(**SHARED):
        home.cli_json("launch", "plain-shell", "mine")
        yield home
        home.cli_json("terminate", "mine", "--yes")
    home.clear()


@pytest.fixture
def port(home):
    """The daemon's TCP port."""
    return json.loads((home.folder / "daemon.lock").read_text())["port"]


def inside(home, code, *words):
    done = home.cli("exec", "mine", "--", "python", "-c", code, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_workspace_may_not_call_the_api(home, port):
    answer = inside(home, ASKS, f"http://127.0.0.1:{port}/api/v1/instances")
    assert answer.startswith("403 "), answer
    assert "PEER_REJECTED" in answer


def test_workspace_may_not_call_the_api_with_a_socket_that_no_process_holds(home, port):
    assert " 403 " in inside(home, HIDES, str(port)).splitlines()[0]


def test_owner_may_call_the_api_from_any_program(home, port):
    url = f"http://127.0.0.1:{port}/api/v1/instances"
    for _ in range(2):
        with urllib.request.urlopen(url) as answer:
            assert answer.status == 200
    argv = [sys.executable, "-c", ASKS, url]
    assert subprocess.run(argv, capture_output=True, text=True).stdout == "200\n"
