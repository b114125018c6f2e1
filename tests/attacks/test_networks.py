"""Workspaces' ports are for their owner alone: other users, other workspaces and strangers try."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from prism.agent.network import FORWARDER, resolver_file
from tests.providers.local.test_life import (
    NOBODY,
    environment,
    python_for_all,
    surroundings,
)

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or not all(map(shutil.which, ("bwrap", "pasta", "ip", "unshare"))),
    reason="a network of a test's own takes root, bubblewrap, pasta and iproute2",
)
OWN = ("unshare", "--net", "--mount", "--propagation", "private", "env")


def found(home, environ, cache, user, python):
    """What came of it all, in a network that nobody else has."""
    words = [*OWN, python, "-m", "tests.attacks.networking", str(user), home / "prism", cache]
    done = subprocess.run(words, env=environ, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# `test_ordinary_networks.py` has an ordinary user's workspaces and their daemon.
ORDINARY = pytest.param("an ordinary user", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=["root", ORDINARY])
def findings(request, tmp_path_factory):
    """What was found with a daemon of root's, and with one of an ordinary user's."""
    if request.param == "root":
        home = tmp_path_factory.mktemp("networks")
        return found(home, environment(home), home / "cache", 0, sys.executable)
    with surroundings() as (home, environ):
        return found(home, environ, home / "cache", NOBODY, python_for_all())


def test_each_workspace_has_a_network_of_its_own(findings):
    assert findings["networks"] == ["own", "own"]


def test_its_owner_reaches_its_port_and_knows_whose_it_is(findings):
    assert (findings["direct"], findings["dialled"]) == ("mine", "mine")
    assert not findings["elsewhere"], "no program of the other one listens there"
    assert findings["squatted"] == "mine"


def test_another_user_does_not(findings):
    assert findings["stranger"] in (["nothing"], ["ConnectionResetError"])


def test_another_workspace_does_not_nor_its_abstract_sockets(findings):
    refused = ["ConnectionRefusedError"] * 3
    assert findings["neighbours"] == refused


def test_a_workspace_does_not_reach_what_listens_on_this_computer_and_asks_for_no_password(
    findings,
):
    assert "private" not in findings["computer"]
    assert len(findings["computer"]) == 5


def test_a_workspace_reaches_the_world_by_address_and_by_name(findings):
    assert findings["beyond"] == ["beyond", "beyond"]


def test_it_sleeps_and_wakes_up_with_its_network(findings):
    assert findings["woken"] == ["mine", "beyond"]


def test_its_way_out_is_mended_and_nothing_of_it_is_left_behind(findings):
    assert findings["mended"] == ["beyond"]
    assert findings["left"] == 0
    assert findings["again"] == [True, "mine"]


def test_a_workspace_whose_network_was_ended_fails_and_says_how_to_go_on(findings):
    assert "its network was ended" in findings["without its gateway"]
    assert "prism workspace start mine" in findings["without its gateway"]


def test_resolvers_on_this_computers_loopback_are_asked_by_another_address():
    resolvers = (
        "# mine\nnameserver 127.0.0.53\noptions edns0\nsearch lab.example\nnameserver ::1\n"
    )
    other_lines = "# mine\noptions edns0\nsearch lab.example\n"
    assert resolver_file(resolvers) == f"nameserver {FORWARDER}\n{other_lines}"


@pytest.mark.parametrize("resolvers", ["", "nameserver 192.0.2.53\n", "nameserver fe80::1%eth0\n"])
def test_other_resolvers_stay_as_they_are(resolvers):
    assert resolver_file(resolvers) is None
