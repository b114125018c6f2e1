"""Ports of a workspace are open to its owner only, not to other users or workspaces."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from prism.agent.network.namespace import FORWARDER, resolver_file
from tests.providers.local.test_life import (
    NOBODY,
    environment,
    python_for_all,
    surroundings,
)

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or not all(map(shutil.which, ("bwrap", "pasta", "ip", "unshare"))),
    reason="needs root, bubblewrap, passt and iproute2: it makes a network",
)
OWN = ("unshare", "--net", "--mount", "--propagation", "private", "env")


def run_in_new_network(home, environ, cache, user, python):
    """The findings of `networking.py`, in a network for this test only."""
    words = [*OWN, python, "-m", "tests.attacks.networking", str(user), home / "prism", cache]
    done = subprocess.run(words, env=environ, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# `test_ordinary_networks.py` tests the daemon and workspaces of an ordinary user.
ORDINARY = pytest.param("an ordinary user", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=["root", ORDINARY])
def findings(request, tmp_path_factory):
    """The findings with a daemon of root, and with one of an ordinary user."""
    if request.param == "root":
        home = tmp_path_factory.mktemp("networks")
        return run_in_new_network(home, environment(home), home / "cache", 0, sys.executable)
    with surroundings() as (home, environ):
        return run_in_new_network(home, environ, home / "cache", NOBODY, python_for_all())


def test_workspace_has_its_own_network(findings):
    assert findings["networks"] == ["own", "own"]


def test_owner_reaches_the_ports_of_a_workspace(findings):
    assert (findings["direct"], findings["dialled"]) == ("mine", "mine")
    assert not findings["elsewhere"], "the other workspace does not listen there"
    assert findings["squatted"] == "mine"


def test_other_user_does_not_reach_the_ports_of_a_workspace(findings):
    assert findings["stranger"] in (["nothing"], ["ConnectionResetError"])


def test_other_workspace_does_not_reach_ports_or_abstract_sockets(findings):
    refused = ["ConnectionRefusedError"] * 3
    assert findings["neighbours"] == refused


def test_workspace_does_not_reach_servers_on_this_computer(
    findings,
):
    assert "private" not in findings["computer"]
    assert len(findings["computer"]) == 5


def test_workspace_reaches_outside_servers_by_address_and_name(findings):
    assert findings["beyond"] == ["beyond", "beyond"]


def test_workspace_network_works_after_hibernation(findings):
    assert findings["woken"] == ["mine", "beyond"]


def test_packet_forwarder_is_restarted_and_ends_with_the_workspace(findings):
    assert findings["mended"] == ["beyond"]
    assert findings["left"] == 0
    assert findings["again"] == [True, "mine"]


def test_gateway_that_was_killed_is_started_again_at_the_next_connection(findings):
    assert findings["without its gateway"] == "mine"


def test_loopback_resolvers_are_replaced_by_the_forwarder_address():
    resolvers = (
        "# mine\nnameserver 127.0.0.53\noptions edns0\nsearch lab.example\nnameserver ::1\n"
    )
    other_lines = "# mine\noptions edns0\nsearch lab.example\n"
    assert resolver_file(resolvers) == f"nameserver {FORWARDER}\n{other_lines}"


@pytest.mark.parametrize("resolvers", ["", "nameserver 192.0.2.53\n", "nameserver fe80::1%eth0\n"])
def test_resolver_file_is_not_replaced_without_loopback_resolvers(resolvers):
    assert resolver_file(resolvers) is None
