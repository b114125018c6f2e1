"""A sandboxed program that hides its socket cannot call the API as its owner."""

import contextlib
import json
import re
import subprocess
import urllib.request

import pytest

from prism.agent.init import LANDLOCK_SCOPED, landlock_version
from tests.attacks.ordinary import as_ordinary, can_be_ordinary, ordinary_home
from tests.daemons import BIN
from tests.optional import not_none

pytestmark = pytest.mark.skipif(
    not can_be_ordinary(), reason="needs bubblewrap, and a Python that an ordinary user may run"
)
CALLS = """
import contextlib, ctypes, os, socket, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
PORT = int(sys.argv[1])
WORDS = b"GET /api/v1/instances HTTP/1.1\\r\\nHost: localhost:%d\\r\\n\\r\\n" % PORT

def connected():
    door = socket.socket()
    door.settimeout(10)
    door.connect(("127.0.0.1", PORT))
    return door

def answered(door):
    said = b""
    with contextlib.suppress(ConnectionError):  # a tunnel resets the connections that it refuses
        door.sendall(WORDS)
        while b"\\r\\n\\r\\n" not in said and (more := door.recv(65536)):
            said += more
    print(said.split(b"\\r\\n")[0].decode() or "nothing", flush=True)
"""
# Each hides its socket from a listing of `/proc/PID/fd`.
HIDING_PROGRAMS = {
    "in a thread with descriptors of its own": """
def work():
    assert libc.unshare(0x400) == 0
    answered(connected())
thread = threading.Thread(target=work)
thread.start()
thread.join()
""",
    "in a process whose first thread has ended": """
def work():
    assert libc.unshare(0x400) == 0
    while open("/proc/self/stat").read().rpartition(")")[2].split()[0] != "Z":
        pass  # until the first thread has ended
    answered(connected())
    os._exit(0)
threading.Thread(target=work).start()
libc.syscall(SYS_exit, 0)
""",
    "in an undumpable process": """
assert libc.prctl(4, 0, 0, 0, 0) == 0
answered(connected())
""",
    "in a message in transit": """
one, two = socket.socketpair()
to = connected()
socket.send_fds(one, [b"x"], [to.fileno()])
to.close()
time.sleep(1)
_, [number], _, _ = socket.recv_fds(two, 1, 1)
answered(socket.socket(fileno=number))
""",
    "in many threads that come and go": """
def work(door, depth):
    assert libc.unshare(0x400) == 0
    for number in range(3, 64):
        if number != door.fileno():
            try:
                os.close(number)
            except OSError:
                pass
    if depth:
        thread = threading.Thread(target=work, args=(door, depth - 1))
        thread.start()
        thread.join()
    else:
        answered(door)
door = connected()
thread = threading.Thread(target=work, args=(door, 5))
thread.start()
thread.join()
""",
}
# An accomplice outside, run by the owner: keeps descriptors that it gets over an abstract socket.
HOLD = """
import socket, sys
with socket.socket(socket.AF_UNIX) as door:
    door.bind("\\0" + sys.argv[1])
    door.listen()
    print("ready", flush=True)
    while True:
        guest, _ = door.accept()
        _, held, _, _ = socket.recv_fds(guest, 1, 1)
        guest.sendall(b"y")
        kept = globals().setdefault("kept", [])
        kept += held
"""
GIVE = """
to = connected()
with socket.socket(socket.AF_UNIX) as other:
    try:
        other.connect("\\0" + sys.argv[2])
    except PermissionError:  # Landlock keeps it from sockets of others, since Linux 6.12
        print("no accomplice")
        sys.exit()
    socket.send_fds(other, [b"x"], [to.fileno()])
    other.recv(1)
answered(to)
"""
UNDUMPABLE = """
import ctypes, sys
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
print("ready", flush=True)
sys.stdin.read()
"""
EXIT = "import platform; SYS_exit = {'x86_64': 60}.get(platform.machine(), 93)"

SERVER = """
import http.server, os
os.chdir("/tmp")
with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
    print(server.server_port)
    server.serve_forever()
"""


# With its own network a workspace could not even reach the loopback of this computer.
SHARED = {"PRISM_WORKSPACE_NETWORK": "shared"}


@pytest.fixture(scope="module")
def home():
    """An ordinary user's daemon, a running workspace, and an undumpable process."""
    with ordinary_home() as home, home.run_daemon(**SHARED):
        home.cli_json("launch", "plain-shell", "mine")
        agent = home.program(UNDUMPABLE)  # like an `ssh-agent`
        assert not_none(agent.stdout).readline()
        yield home
        agent.communicate()
        home.cli_json("terminate", "mine", "--yes")


@pytest.fixture(scope="module")
def port(home):
    """The port of the daemon."""
    return json.loads((home.folder / "daemon.lock").read_text())["port"]


def inside(home, code, *words):
    done = home.cli("exec", "mine", "--", "python", "-c", f"{CALLS}\n{EXIT}\n{code}", *words)
    assert done.stdout.strip(), done.stderr
    return done.stdout


@pytest.mark.parametrize("how", HIDING_PROGRAMS)
def test_request_from_a_hidden_socket_of_a_workspace_is_refused(home, port, how):
    assert " 403 " in inside(home, HIDING_PROGRAMS[how], str(port))


def test_request_of_a_workspace_is_refused_when_an_accomplice_holds_the_socket(home, port):
    accomplice = home.program(HOLD, name := f"prism-test-{port}")
    try:
        assert accomplice.stdout.readline() == "ready\n"
        answer = inside(home, GIVE, str(port), name)
        scoped = landlock_version() >= LANDLOCK_SCOPED
        assert (answer == "no accomplice\n") if scoped else (" 403 " in answer)
    finally:
        accomplice.kill()
        accomplice.communicate()


@contextlib.contextmanager
def lines_of(home, *words):
    """A running command of that user, and an iterator over its lines."""
    command = subprocess.Popen(
        as_ordinary([BIN / "prism", *words]),
        env=home.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield not_none(command.stdout)
    finally:
        command.terminate()
        command.communicate()


@pytest.fixture(scope="module")
def tunnel(home):
    """The local port of a tunnel to a server in the workspace."""
    serve = ("exec", "mine", "--", "python", "-u", "-c", SERVER)
    with (
        lines_of(home, *serve) as server,
        lines_of(home, "tunnel", "mine", next(server).strip()) as lines,
    ):
        yield int(not_none(re.search(r":(\d+) ", next(lines)))[1])


@pytest.mark.parametrize("how", ["openly", "in a message in transit"])
def test_tunnel_refuses_a_workspace_on_the_shared_network(home, tunnel, how):
    code = HIDING_PROGRAMS.get(how, "answered(connected())")
    assert inside(home, code, str(tunnel)) == "nothing\n"


def test_tunnel_admits_a_program_of_the_owner_outside_a_sandbox(home, tunnel):
    request = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).status)"
    assert home.program(request, f"http://127.0.0.1:{tunnel}/").communicate()[0] == "200\n"


def test_home_records_that_a_sandbox_works(home):
    assert (home.folder / "sandboxed").exists()


def test_request_of_the_owner_outside_a_sandbox_is_accepted(home, port):
    url = f"http://127.0.0.1:{port}/api/v1/instances"
    request = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).status)"
    for _ in range(2):
        done = home.program(request, url)
        assert done.communicate()[0] == "200\n"
    threaded = f"""
import threading
thread = threading.Thread(target=lambda: exec({request!r}))
thread.start()
thread.join()
"""
    assert home.program(threaded, url).communicate()[0] == "200\n"
    with contextlib.closing(
        urllib.request.urlopen(url)
    ) as answer:  # as root, if the tests run as root
        assert answer.status == 200
