"""A cloud for one test: metadata services, a lab's database, and a workspace that attacks them.

    python -m tests.attacks.metadata HOME CACHE     as root, in new namespaces

This computer is 192.0.2.2 and 2001:db8::2, and 10.88.0.1 on a bridge of its own. Beyond its
router are the metadata services, a database of the lab at 10.20.0.5, and a web server. Its
resolver is the metadata service, as on Google's cloud. It prints the findings as one JSON object.
"""

import json
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

from prism.agent.network import packet_filter
from prism.agent.network.namespace import ALLOWED_VARIABLE, MODE_VARIABLE
from prism.templates.model import Template
from tests.attacks.networking import WEB
from tests.providers.local.test_sandbox import run
from tests.providers.local.world import World
from tests.waiting import eventually

METADATA = (
    *("169.254.169.254", "169.254.170.2", "169.254.170.23", "168.63.129.16"),
    *("100.100.100.200", "fd00:ec2::254"),
)
DATABASE, BRIDGE, WEB_IPV6 = "10.20.0.5", "10.88.0.1", "2001:db8:7::7"
NEIGHBOR = "fe80::77"
BEYOND = f"""
ip link set lo up
ip link add eth0 type veth peer name beyond0 netns {{pid}}
ip address add 192.0.2.2/24 dev eth0
ip address add 2001:db8::2/64 dev eth0 nodad
ip link set eth0 up
ip link add bridge0 type veth peer name bridge1
ip address add {BRIDGE}/24 dev bridge0
ip link set bridge0 up
ip link set bridge1 up
nsenter --net=/proc/{{pid}}/ns/net sh -ec '
ip link set lo up
ip address add 192.0.2.1/24 dev beyond0
ip address add 2001:db8::1/64 dev beyond0 nodad
ip address add {NEIGHBOR}/64 dev beyond0 nodad
ip link set beyond0 up
for address in {WEB} {DATABASE} {" ".join(METADATA)} {WEB_IPV6}; do
    ip address add $address dev lo
done'
ip route add default via 192.0.2.1
ip -6 route add default via 2001:db8::1
mount -t tmpfs -o mode=755 tmpfs /dev/net
mknod -m 666 /dev/net/tun c 10 200
echo nameserver {METADATA[0]} > {{file}}
mount --bind {{file}} /etc/resolv.conf
"""
SERVER = """
import socket, threading
def serve(port):
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        with server.accept()[0] as client:
            client.sendall(b"here")
def echo():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::", 9))
        while True:
            server.sendto(b"here", server.recvfrom(64)[1])
threading.Thread(target=echo).start()
for port in (80, 5432):
    threading.Thread(target=serve, args=(port,)).start()
"""
# Over TCP and UDP, each as usual and bound to the interface, so that routes do not count.
ATTACK = """
import os, socket, struct, sys
device = next(name for _, name in socket.if_nameindex() if name != "lo")
index = socket.if_nametoindex(device)
def family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET
def end(host, port):
    return (host, port, 0, index) if host.startswith("fe80") else (host, port)
def tcp(host, port, bound):
    with socket.socket(family(host)) as connection:
        connection.settimeout(3)
        if bound:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        connection.connect(end(host, port))
        return connection.recv(9)
def udp(host, port, bound):
    with socket.socket(family(host), socket.SOCK_DGRAM) as names:
        names.settimeout(0.3)
        pktinfo = struct.pack("=iII", index, 0, 0)
        level, kind = (socket.IPPROTO_IP, 8)
        if ":" in host:
            level, kind, pktinfo = socket.IPPROTO_IPV6, 50, bytes(16) + struct.pack("=I", index)
        names.sendmsg([b"hello"], [(level, kind, pktinfo)] if bound else [], 0, end(host, port))
        return names.recv(9)
found = []
for word in sys.argv[1:]:
    host, port = word.rsplit("@", 1)
    for name, dial in (("tcp", tcp), ("udp", udp)):
        for bound in (False, True):
            try:
                dial(host, 9 if name == "udp" and port == "80" else int(port), bound)
            except OSError:
                continue
            found.append(f"{host} {name} {port}{' bound' * bound}")
print("\\n".join(found))
"""
REMOVE = """
import socket, sys
kernel = socket.socket(16, 3, 12)
kernel.send(bytes.fromhex(sys.argv[1]))
print(int.from_bytes(kernel.recv(999)[16:20], sys.byteorder, signed=True))
"""
RESOLVE = "import socket; print(socket.gethostbyname('any.example'))"
DELETE_TABLE = 2


def main(home, cache):
    """Make the cloud, and attack it from one workspace after the other."""
    beyond = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    servers = []
    try:
        net = Path(f"/proc/{beyond.pid}/ns/net")
        eventually(lambda: net.readlink() != Path("/proc/self/ns/net").readlink())
        script = BEYOND.format(pid=beyond.pid, file=Path(home).parent / "resolv.conf")
        subprocess.run(["sh", "-ec", script], check=True)
        inside = ["nsenter", f"--net={net}", sys.executable, "-c"]
        servers = [subprocess.Popen([*inside, code]) for code in (SERVER, NAMES)]
        servers.append(subprocess.Popen([sys.executable, "-c", SERVER]))  # on this computer
        for host, port in ((WEB, 80), (BRIDGE, 5432), (METADATA[0], 5432)):
            eventually(partial(_answers, host, port))
        sys.stdout.write(json.dumps(_findings(Path(home), Path(cache))) + "\n")
    finally:
        for process in [*servers, beyond]:
            process.kill()
            process.wait()


NAMES = f"""
import socket
from tests.attacks.networking import _answer_names
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names:
    names.bind(("{METADATA[0]}", 53))
    _answer_names(names)
"""


def _answers(host, port):
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            return connection.recv(9) == b"here"
    except OSError:
        return False


def _findings(home, cache):
    modes = {
        "lan": {},
        "internet": {MODE_VARIABLE: "internet"},
        "isolated": {MODE_VARIABLE: "isolated"},
        "named": {MODE_VARIABLE: "internet", ALLOWED_VARIABLE: f"{DATABASE}:5432"},
    }
    return {mode: _reached(home / mode, cache, environ) for mode, environ in modes.items()}


def _reached(home, cache, environ):
    """What a workspace in that mode reaches, and whether it can change that."""
    targets = [*METADATA, NEIGHBOR, BRIDGE, DATABASE, WEB, WEB_IPV6]
    world = World(home, cache, environ=environ)
    try:
        id = world.launched(Template(name="t"))
        words = [f"{target}@{port}" for target in targets for port in (80, 5432)]
        code, reached = run(world, id, "python", "-c", ATTACK, *words)
        assert code == 0, reached
        _, refused = run(world, id, "python", "-c", REMOVE, _removal().hex())
        _, name = run(world, id, "python", "-c", RESOLVE)
        return {
            "network": world.report(id)["network"],
            "reached": reached.split("\n")[:-1] if reached.strip() else [],
            "removal": refused.strip(),
            "name": name.strip(),
        }
    finally:
        world.close()


def _removal():
    """The messages that remove every table of nf_tables."""
    batch = (packet_filter.BATCH_BEGIN, packet_filter.BATCH_END)
    first, last = map(packet_filter._batch, batch)
    return first + packet_filter._message(DELETE_TABLE, packet_filter.IPV4, 0, b"") + last


if __name__ == "__main__":
    main(*sys.argv[1:])
