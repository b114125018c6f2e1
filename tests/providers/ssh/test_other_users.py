"""Another user of a lab server, against everything of a person's workspaces there."""

import json
import subprocess

import pytest

from tests.providers.ssh.conftest import LAB
from tests.providers.ssh.lab import Lab
from tests.providers.ssh.test_life import LabHome
from tests.waiting import eventually

pytestmark = LAB
# Runs as the other user, among the mounts of the server; prints what answered.
LOOK = r"""
import glob, json, os, signal, socket, sys, urllib.request
uid, home, pids = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
answered, tried = [], {"port": 0, "socket": 0, "file": 0, "process": 0}

def attempt(kind, what, call):
    tried[kind] += 1
    try:
        answer = call()
    except OSError:
        return
    if answer:
        answered.append([kind, what, repr(answer)[:80]])

def ask(port):
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.settimeout(5)
        client.sendall(b"GET /api HTTP/1.0\r\n\r\n")
        return client.recv(100)

def tell(kind, address):
    with socket.socket(socket.AF_UNIX, kind) as client:
        client.settimeout(5)
        client.connect(address)
        return "connected"

for table in ("/proc/net/tcp", "/proc/net/tcp6"):
    for line in open(table).read().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and int(words[7]) == uid:
            attempt("port", words[1], lambda: ask(int(words[1].rpartition(":")[2], 16)))
for line in open("/proc/net/unix").read().splitlines()[1:]:
    name = line.split(None, 7)[7:]
    if name and (name[0].startswith(("@prism", home))):
        address = "\0" + name[0][1:] if name[0].startswith("@") else name[0]
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
            attempt("socket", name[0], lambda: tell(kind, address))
for path in json.loads(sys.argv[4]):
    attempt("file", path, lambda: open(path, "rb").read(1) or "empty")
    attempt("file", path, lambda: open(path, "ab") and "writable")
for folder in {os.path.dirname(path) for path in json.loads(sys.argv[4])}:
    attempt("file", folder, lambda: os.listdir(folder) or "empty")
for pid in pids:
    for name in ("environ", "maps", "mem", "stack", "syscall"):
        attempt("process", f"{pid}/{name}", lambda: open(f"/proc/{pid}/{name}", "rb").read(1))
    for name in ("cwd", "root", "exe"):
        attempt("process", f"{pid}/{name}", lambda: os.readlink(f"/proc/{pid}/{name}"))
    attempt("process", f"{pid}/fd", lambda: os.listdir(f"/proc/{pid}/fd"))
    attempt("process", f"{pid} signal", lambda: os.kill(pid, 0) or "may be signalled")
print(json.dumps([answered, tried]))
"""


def look_as_another(lab: Lab, uid: int) -> tuple[list[list[str]], dict[str, int]]:
    """What answers the other user, and how much was tried."""
    assert lab.process is not None
    pids = [each.pid for each in lab.programs() if "sshd" not in each.name()]
    root = lab.home / ".prism-server"
    files = [
        f"/home/researcher/{path.relative_to(lab.home)}"
        for path in root.rglob("*")
        if path.is_file() and not {"uv", "cache"} & set(path.relative_to(root).parts[:1])
    ][:2000]
    words = [str(lab.uid), "/home/researcher", json.dumps(pids), json.dumps(files)]
    done = subprocess.run(
        [
            *("nsenter", "--target", str(lab.process.pid), "--mount", "--wd=/"),
            *("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"),
            *("/usr/bin/python3", "-I", "-S", "-c", LOOK, *words),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answered, tried = json.loads(done.stdout)
    return answered, tried


@pytest.fixture
def home(tmp_path, lab: Lab):
    """A home without a daemon yet."""
    person = LabHome(tmp_path / "prism", lab)
    yield person
    person.clear()


def test_another_user_of_the_server_gets_no_answer(lab, home):
    lab.stop()
    lab.plug_in(1)
    lab.start()
    with home.run_daemon():
        home.begin()
        home.must("launch", "jupyterlab", "study", "--instance-type", "g4dn.xlarge")
        assert home.page("study")["kernels"] == 0
        [token] = [path.read_text() for path in lab.home.glob(".prism-server/workspaces/*/token")]
        lines = [" ".join(each.cmdline()) for each in lab.programs()]
        assert not [line for line in lines if token in line], "everybody sees command lines"
        answered, tried = look_as_another(lab, lab.uid + 1)
        assert answered == []
        assert min(tried.values()) > 0, tried
        own, _ = look_as_another(lab, lab.uid)
        assert {kind for kind, *_ in own} >= {"file", "process"}, "the attempts are real"
        home.must("terminate", "study", "--yes")
        eventually(lambda: home.state("study") == "terminated")
