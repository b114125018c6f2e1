"""`pasta` and the gateway end while nobody uses a network; no packet and no caller is lost."""

import json
import os
import shutil
import subprocess

import pytest

from prism.agent.network.device import (
    QUIET_SECONDS,
    SOCKET_FILES,
    UDP_QUIET_SECONDS,
    needs_pasta,
    quiet_needed,
)
from tests.providers.local.test_life import python_for_all, surroundings

OWN = ("unshare", "--net", "--mount", "--propagation", "private", "env")
HEAD = "  sl  local_address rem_address   st\n"
LOOPBACK, FAR, ANY = "0100007F:1F90", "076433C6:0050", "00000000:0000"
HERE = "020000C0:A404"
LOOPBACK_6, MAPPED_LOOPBACK = (
    "00000000000000000000000001000000:22B8",
    "0000000000000000FFFF00000100007F:22B8",
)
FAR_6 = "B80D0120000000000000000001000000:01BB"


def tables(**lines):
    return [HEAD + lines.get(name, "") for name in SOCKET_FILES]


def line(local, remote, state):
    return f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000\n"


@pytest.mark.parametrize(
    "sockets",
    [
        {},
        {"tcp": line(LOOPBACK, ANY, "0A") + line(LOOPBACK, "0100007F:9C40", "01")},
        {"tcp": line(HERE, FAR, "06")},
        {"tcp6": line(MAPPED_LOOPBACK, MAPPED_LOOPBACK, "01")},
        {"tcp6": line(LOOPBACK_6, LOOPBACK_6, "01"), "udp6": line(LOOPBACK_6, LOOPBACK_6, "01")},
        {"udp": line(LOOPBACK, ANY, "07")},
    ],
)
def test_network_without_connections_to_the_outside_rests_soon(sockets):
    assert quiet_needed(tables(**sockets)) == QUIET_SECONDS


@pytest.mark.parametrize("state", ["01", "02", "04", "08"])
def test_open_connection_to_the_outside_keeps_the_network_awake(state):
    assert quiet_needed(tables(tcp=line(HERE, FAR, state))) is None
    assert quiet_needed(tables(tcp6=line(FAR_6, FAR_6, state))) is None


def test_answer_to_a_datagram_may_come_late():
    assert quiet_needed(tables(udp=line(ANY, ANY, "07"))) == UDP_QUIET_SECONDS
    assert quiet_needed(tables(udp6=line(FAR_6, FAR_6, "01"))) == UDP_QUIET_SECONDS


def test_only_packets_for_other_computers_wake_it():
    assert needs_pasta(bytes.fromhex("728c1ec48c61728c1ec48c61080045000039"))
    assert not needs_pasta(bytes.fromhex("333300000016728c1ec48c6186dd60000000"))
    assert not needs_pasta(bytes.fromhex("01005e0000fb728c1ec48c61080045000039"))


@pytest.mark.skipif(
    os.getuid() != 0 or not all(map(shutil.which, ("pasta", "ip", "unshare", "setpriv"))),
    reason="needs root, passt and iproute2: it makes a network",
)
def test_programs_reach_the_outside_while_pasta_rests():
    with surroundings() as (home, environ):
        folder = home / "workspace"
        folder.mkdir()
        words = [*OWN, python_for_all(), "-m", "tests.agent.network.resting", str(folder)]
        done = subprocess.run(words, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    reports = [json.loads(report) for report in done.stdout.splitlines()]
    assert (
        reports
        == [
            {
                "before": "beyond",
                "with a connection": [None] * 5,
                "connection": "beyond",
                "datagram": "198.51.100.7",
                "published": ["HELLO", True, True],
                "after its end": "beyond",
            }
        ]
        * 2
    )
