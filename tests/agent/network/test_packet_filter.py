"""The filter of packets, in a network namespace of the test: what leaves with it, and without."""

import json
import os
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or not all(map(shutil.which, ("ip", "unshare"))),
    reason="needs root and iproute2: it makes a network",
)
NETWORK = """
ip link set lo up
ip link add eth0 type veth peer name beyond
ip link set eth0 address 02:00:00:00:00:02
ip link set eth0 up
ip link set beyond up
ip address add 192.0.2.2/24 dev eth0
ip address add 2001:db8::2/64 dev eth0 nodad
ip route add default via 192.0.2.1
ip route add default via 2001:db8::1
ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev eth0
ip neigh add 2001:db8::1 lladdr 02:00:00:00:00:01 dev eth0
exec "$0" -c "$1" "$2"
"""
# Sends datagrams, and prints the destinations of the packets that leave.
SEND = """
import json, socket, struct, sys
from prism.agent.network import packet_filter, reachable_addresses

targets = json.loads(sys.argv[1])
if targets["filter"]:
    named = reachable_addresses.destinations(targets["filter"])
    policy = reachable_addresses.reachable("lan", computer=[], resolvers=[], allowed=named)
    packet_filter.install(packet_filter.filter_messages(policy))
seen = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
seen.bind(("beyond", 0))
for host, port, first in targets["sent"]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        try:
            if first:  # a routing header, with its addresses from the last one to the first
                ends = [socket.inet_pton(family, end) for end in (host, first)]
                header = struct.pack("=BBBBBBH", 0, 4, 4, 1, 1, 0, 0) + b"".join(ends)
                sender.setsockopt(socket.IPPROTO_IPV6, 57, header)
            sender.sendto(b"hello", (host, port))
        except OSError:
            pass
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.sendto(b"the last one", ("198.51.100.1", 9))
leaving = []
while "198.51.100.1" not in leaving:
    packet = seen.recv(2048)[14:]
    family, address = socket.AF_INET6, packet[24:40]
    if packet[0] >> 4 == 4:
        family, address = socket.AF_INET, packet[16:20]
    leaving.append(socket.inet_ntop(family, address))
print(json.dumps(leaving))
"""


def leaving(sent, filter):
    """The destinations of the packets that leave."""
    words = ["unshare", "--net", "sh", "-ec", NETWORK, sys.executable, SEND]
    arguments = json.dumps({"sent": sent, "filter": filter})
    done = subprocess.run([*words, arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_packets_to_refused_addresses_do_not_leave():
    plain = [("169.254.169.254", 80, ""), ("fd00:ec2::254", 80, ""), ("198.51.100.7", 80, "")]
    routed = [("2001:db8:7::7", 80, first) for first in ("fd00:ec2::254", "::ffff:127.0.0.1")]
    without = leaving([*plain, *routed], "")
    expected = {"169.254.169.254", "fd00:ec2::254", "198.51.100.7", "::ffff:127.0.0.1"}
    assert expected <= set(without)
    assert without.count("fd00:ec2::254") == 2
    assert expected & set(leaving([*plain, *routed], "192.0.2.9")) == {"198.51.100.7"}


def test_named_port_leaves_and_no_other():
    sent = [("169.254.169.254", 53, ""), ("169.254.170.2", 80, "")]
    assert "169.254.169.254" in leaving(sent, "169.254.169.254:53")
    assert "169.254.170.2" not in leaving(sent, "169.254.169.254:53")
    assert "169.254.170.2" in leaving(sent, "169.254.0.0/16")
    assert "169.254.169.254" not in leaving(sent, "169.254.169.254:54")
