"""A workspace's network whose `pasta` rests and is woken.

    python -m tests.agent.network.resting FOLDER            as root, in new namespaces
    python -m tests.agent.network.resting network FOLDER    as another user; by the first

What it does is printed as two JSON objects: for a daemon of root, and for one of that user.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from prism.agent.machine.machine_config import SYSTEM_PATH
from prism.agent.network import device as network_device
from prism.agent.network import gateway
from prism.agent.network.namespace import FORWARDER, WorkspaceNetwork
from tests.attacks.networking import WEB, web_server_beyond
from tests.waiting import eventually

USER = 65534
QUERY = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\3any\7example\0\0\1\0\1"
DIAL = f"""
import socket
with socket.create_connection(("{WEB}", 80), timeout=30) as connection:
    connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print(connection.makefile("rb").read().rpartition(b"\\r\\n\\r\\n")[2].decode())
"""
ASK = f"""
import socket
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(30)
asker.sendto({QUERY!r}, ("{FORWARDER}", 53))
print(socket.inet_ntoa(asker.recv(512)[-4:]))
"""
SERVE = """
import socket
with socket.create_server(("127.0.0.1", {port})) as server:
    print("ready", flush=True)
    caller, _ = server.accept()
    caller.sendall(caller.recv(64).upper())
"""
HOLD = f"""
import socket, sys
held = socket.create_connection(("{WEB}", 80), timeout=30)
print("open", flush=True)
sys.stdin.read()
"""


def main(folder):
    """Make the outside, and a network in it for each kind of daemon."""
    with web_server_beyond(Path(folder).parent):
        sys.stdout.write(json.dumps(findings(Path(folder), USER)) + "\n")
        sys.stdout.flush()
        ordinary = Path(folder) / "ordinary"
        ordinary.mkdir()
        os.chown(ordinary, USER, USER)
        lent = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "env"]
        words = [sys.executable, "-m", "tests.agent.network.resting", "network", str(ordinary)]
        subprocess.run([*lent, *words], check=True)


def findings(folder, user):
    """What happens to programs in the network of this user while `pasta` rests."""
    network_device.QUIET_SECONDS = network_device.CHECK_INTERVAL = 0
    network_device.UDP_QUIET_SECONDS = 0
    gateway.REST_SECONDS = 1
    network = WorkspaceNetwork(folder, user, {"PATH": SYSTEM_PATH}, "internet")
    try:
        network.wait()
        report = {"before": _start(network, user, DIAL).communicate()[0].strip()}
        held = _start(network, user, HOLD)
        assert held.stdout.readline() == "open\n"
        report["with a connection"] = [network.rest() for _ in range(5)]
        held.communicate("")
        for name, code in (("connection", DIAL), ("datagram", ASK)):
            report[name] = _woken_by(network, user, code)
        _rest(network)
        report["published"] = _answer_after_its_gateway_rests(network, user)
        report["after its end"] = _ended(network, user)
        return report
    finally:
        network.close()


def _woken_by(network, user, code):
    device = _rest(network)
    program = _start(network, user, code)
    _wake(network, device)
    return program.communicate()[0].strip()


def _answer_after_its_gateway_rests(network, user):
    """The answer of a server inside, through a published port, when no process was there."""
    port = network.publish(None)
    server = _start(network, user, SERVE.format(port=port))
    assert server.stdout.readline() == "ready\n"
    network.reaped(os.waitpid(network._gateway.pid, 0)[0])
    assert network.pids == set(), "the gateway ends, and `pasta` rests"
    with socket.create_connection(("127.0.0.1", port)) as caller:
        assert select.select(network.sources, [], [], 60)[0]
        network.start_gateway()
        caller.sendall(b"hello")
        answer = caller.recv(64).decode()
    server.communicate("")
    network.reaped(os.waitpid(network._gateway.pid, 0)[0])
    with network.tcp_socket() as again:
        return [answer, bool(again.fileno()), network.sources == set()]


def _ended(network, user):
    """A connection after `pasta` has ended by itself."""
    program = _start(network, user, DIAL)
    _wake(network, network.resting_device)
    program.communicate()
    [pasta] = network.pids - {network._gateway.pid}
    os.kill(pasta, signal.SIGKILL)
    os.waitpid(pasta, 0)
    network.reaped(pasta)
    eventually(network.restart_ended)
    network.wait()
    return _start(network, user, DIAL).communicate()[0].strip()


def _rest(network):
    def descriptor():
        device = network.rest()
        return None if device is None else [device]

    return eventually(descriptor)[0]


def _wake(network, device):
    def is_awake():
        return bool(select.select([device], [], [], 1)[0]) and network.wake()

    eventually(is_awake)


def _start(network, user, code):
    def enter():
        network.enter()
        if user is not None:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)

    words = ["/usr/bin/python3", "-I", "-c", code]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(words, preexec_fn=enter, cwd="/", **pipes)


if __name__ == "__main__":
    if sys.argv[1] == "network":
        sys.stdout.write(json.dumps(findings(Path(sys.argv[2]), None)) + "\n")
    else:
        main(sys.argv[1])
