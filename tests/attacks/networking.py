"""A network for one test, in which workspaces with their own networks run.

    python -m tests.attacks.networking USER HOME CACHE     as root, in new namespaces
    python -m tests.attacks.networking owner HOME CACHE    as that user; started by the first

This computer is 192.0.2.2 there and its resolver is on its loopback; beyond its router there is
one web server, 198.51.100.7. The findings are printed as one JSON object.
"""

import asyncio
import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from prism.connections.ports import Address
from prism.kit.network.workspace_network import connect
from prism.templates.model import Service, Template
from prism.workspaces.model import Observed
from tests.optional import not_none
from tests.providers.local.test_life import python_for_all
from tests.providers.local.test_sandbox import run
from tests.providers.local.world import World
from tests.waiting import eventually

STRANGER = 65533
SERVE = "python -m http.server {port} --bind 127.0.0.1"
FILES = Template(name="page", services={"page": Service(command=SERVE, port=80, health="/")})
WEB, ROUTER, HERE, RESOLVER = "198.51.100.7", "192.0.2.1", "192.0.2.2", "127.0.0.53"
LENT = ("setpriv", "--reuid={0}", "--regid={0}", "--clear-groups")
BEYOND = f"""
ip link set lo up
ip link add prism0 type veth peer name prism1 netns {{pid}}
ip address add {HERE}/24 dev prism0
ip link set prism0 up
ip route add default via {ROUTER}
nsenter --net=/proc/{{pid}}/ns/net sh -c '
ip link set lo up
ip address add {ROUTER}/24 dev prism1
ip address add {WEB}/32 dev lo
ip link set prism1 up'
mount -t tmpfs -o mode=755 tmpfs /dev/net
mknod -m 666 /dev/net/tun c 10 200
echo nameserver {RESOLVER} > {{file}}
mount --bind {{file}} /etc/resolv.conf
"""
DIAL = """
import socket, sys
for word in sys.argv[1:]:
    host, _, port = word.rpartition(":")
    try:
        if host.startswith("@"):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect("\\0" + host[1:])
        else:
            connection = socket.create_connection((host, int(port)), timeout=5)
        connection.settimeout(5)
        connection.sendall(b"GET /whose HTTP/1.0\\r\\n\\r\\n")
        said = connection.makefile("rb").read()
        print(said.rpartition(b"\\r\\n\\r\\n")[2].decode().strip() or "nothing")
    except OSError as error:
        print(type(error).__name__)
"""
LISTEN = """
import socket, subprocess, sys, time
kept = []
for word in sys.argv[1:]:
    server = socket.socket(socket.AF_UNIX if word.startswith("@") else socket.AF_INET)
    server.bind("\\0" + word[1:] if word.startswith("@") else ("127.0.0.1", int(word)))
    server.listen()
    kept.append(server)
open("listening", "w").close()
time.sleep(600)
"""


def main(user, home, cache):
    """Create the network, run the owner in it, and connect as another user."""
    with web_server_beyond(Path(home).parent):
        _print_report(_findings(int(user), home, cache))


@contextmanager
def web_server_beyond(folder):
    """A router, a web server beyond it, and a resolver, for the network of this process.

    `folder` gets a file.
    """
    beyond = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    try:
        net = Path(f"/proc/{beyond.pid}/ns/net")
        eventually(lambda: net.readlink() != Path("/proc/self/ns/net").readlink())
        script = BEYOND.format(pid=beyond.pid, file=folder / "resolv.conf")
        subprocess.run(["sh", "-ec", script], check=True)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names:
            names.bind((RESOLVER, 53))
            threading.Thread(target=_answer_names, args=(names,), daemon=True).start()
            inside = ["nsenter", f"--net={net}", sys.executable, "-c", WEB_SERVER]
            web = subprocess.Popen(inside, stdout=subprocess.PIPE)
            try:
                not_none(web.stdout).readline()
                yield
            finally:
                web.kill()
                web.communicate()
    finally:
        beyond.kill()
        beyond.wait()


def _print_report(report):
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


def _findings(user, home, cache):
    lent = [text.format(user) for text in LENT] if user else []
    words = [*lent, "env", sys.executable, "-m", "tests.attacks.networking", "owner", home, cache]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **pipes) as owner:
        report = json.loads(not_none(owner.stdout).readline() or "{}")
        if report:
            stranger = [text.format(STRANGER) for text in LENT]
            dial = [
                *stranger,
                "env",
                python_for_all("python3"),
                "-c",
                DIAL,
                f"127.0.0.1:{report['port']}",
            ]
            done = subprocess.run(dial, capture_output=True, text=True)
            report["stranger"] = done.stdout.split() or done.stderr
        more, _ = owner.communicate("go on\n")
    assert owner.returncode == 0, more
    eventually(lambda: not _remaining(home), 120)
    return report | json.loads(more)


def _remaining(home):
    """The processes of that home that still run, of any user."""
    processes = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get("PRISM_MACHINE", "")
            if process.pid != os.getpid() and home in " ".join([mark, *process.cmdline()]):
                processes.append(process)
        except psutil.Error:
            continue
    return processes


WEB_SERVER = f"""
import http.server
class Here(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"beyond")
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("{WEB}", 80), Here)
print("ready", flush=True)
server.serve_forever()
"""


def _answer_names(names):
    """Every name resolves to the web server, which has no IPv6 address."""
    while True:
        query, whom = names.recvfrom(512)
        end = query.index(b"\0", 12) + 5
        is_v4 = query[end - 4 : end - 2] == b"\0\1"
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(WEB) if is_v4 else b""
        head = query[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_v4 else b"\0\0") + b"\0\0\0\0"
        names.sendto(head + query[12:end] + answer, whom)


class _Private(http.server.BaseHTTPRequestHandler):
    """A server of the owner without a password."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"private")

    def log_message(self, *args):
        pass


def owner(home, cache):
    """Launch workspaces, reach them, and let them attack each other."""
    world = World(Path(home), Path(cache))
    private = http.server.ThreadingHTTPServer(("0.0.0.0", 0), _Private)
    threading.Thread(target=private.serve_forever, daemon=True).start()
    try:
        mine, other = (world.launched(FILES, key=key) for key in ("ws_1", "ws_2"))
        for id, whose in ((mine, "mine"), (other, "other")):
            (world.root / id / "home" / "whose").write_text(whose)
        port = world.report(mine)["services"]["page"]["port"]
        report = {
            "networks": [world.report(workspace)["network"] for workspace in (mine, other)],
            "port": port,
        }
        report["direct"] = _answer_directly(port)
        report["dialled"] = asyncio.run(
            _answer_inside(not_none(world.compute.address_of(mine, port)))
        )
        report["elsewhere"] = world.compute.address_of(other, port) is not None
        report |= _attack_results(world, mine, other, port, private.server_port)
        _print_report(report)
        sys.stdin.readline()
        _print_report(_lifecycle_results(world, mine, port))
    finally:
        private.shutdown()
        world.close()


def _answer_directly(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /whose HTTP/1.0\r\n\r\n")
        return connection.makefile("rb").read().rpartition(b"\r\n\r\n")[2].decode()


async def _answer_inside(address: Address):
    connection = await connect(address.host, address.port, address.network)
    reader, writer = await asyncio.open_connection(sock=connection)
    writer.write(b"GET /whose HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.rpartition(b"\r\n\r\n")[2].decode()


def _attack_results(world, mine, other, port, private):
    """What a workspace reaches of another one, of this computer, and of the world."""
    name = f"prism-{port}"
    listens = world.launched(Template(name="t"), key="ws_3")
    _start_listener(world, mine, f"@{name}")
    targets = [f"127.0.0.1:{port}", f"::1:{port}", f"@{name}:0"]
    attempts = [f"{host}:{private}" for host in ("127.0.0.1", HERE, ROUTER, "169.254.1.1", "::1")]
    _, neighbours = run(world, other, "python", "-c", DIAL, *targets)
    _, computer = run(world, other, "python", "-c", DIAL, *attempts)
    _, beyond = run(world, other, "python", "-c", DIAL, f"{WEB}:80", "any.example:80")
    _start_listener(
        world, listens, str(port)
    )  # another one squats the same port, in its own network
    return {
        "neighbours": neighbours.split(),
        "computer": computer.split(),
        "beyond": beyond.split(),
        "squatted": _answer_directly(port),
    }


def _start_listener(world, id, *words):
    code = f"nohup python -c '{LISTEN}' {' '.join(words)} >/dev/null 2>&1 &"
    assert run(world, id, "sh", "-c", code)[0] == 0
    eventually(lambda: (world.root / id / "home" / "listening").exists())


def _lifecycle_results(world, mine, port):
    """The network after a hibernation, a stop, and the end of some of its processes."""
    report: dict[str, object] = {}
    beyond = lambda: run(world, mine, "python", "-c", DIAL, f"{WEB}:80")[1].split()  # noqa: E731
    world.compute.hibernate(mine)
    world.becomes(mine, Observed.ASLEEP)
    world.compute.start(mine)
    world.becomes(mine, Observed.ON)
    report["woken"] = [_answer_directly(port), *beyond()]
    _processes_named(world, mine, "pasta")[0].kill()
    report["mended"] = eventually(lambda: beyond() == ["beyond"] and beyond(), 120)
    world.compute.stop(mine)
    world.becomes(mine, Observed.OFF)
    report["left"] = len(_processes_named(world, mine, "pasta"))
    world.compute.start(mine)
    world.becomes(mine, Observed.ON)
    again = world.report(mine)["services"]["page"]["port"]
    report["again"] = [again == port, _answer_directly(again)]
    own = world.tree(mine)
    world.supervisor(mine).send_signal(signal.SIGKILL)
    eventually(lambda: not [process for process in own if _lives(process)], 120)
    world.becomes(mine, Observed.OFF)
    world.compute.start(mine)
    world.becomes(mine, Observed.ON)
    [gateway] = [node for node in world.tree(mine) if node.cmdline()[:1] == ["prism-network"]]
    gateway.kill()
    report["without its gateway"] = eventually(lambda: _answer_directly(again), 120)
    return report


def _processes_named(world, id, name):
    try:
        return [node for node in world.tree(id) if node.name().startswith(name)]
    except psutil.NoSuchProcess:  # no supervisor, and nothing of it
        return []


def _lives(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


if __name__ == "__main__":
    owner(*sys.argv[2:]) if sys.argv[1] == "owner" else main(*sys.argv[1:])
