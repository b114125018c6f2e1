"""A workspace reaches no metadata service of a cloud, whatever it does with its sockets."""

import errno
import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.attacks.metadata import BRIDGE, DATABASE, METADATA, NEIGHBOR, WEB_IPV6
from tests.attacks.networking import WEB
from tests.attacks.test_networks import OWN
from tests.providers.local.test_life import environment

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or not all(map(shutil.which, ("bwrap", "pasta", "ip", "unshare"))),
    reason="needs root, bubblewrap, passt and iproute2: it makes a network",
)
MODES = ("lan", "internet", "isolated", "named")


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """The findings of `metadata.py`, in a network for this test only."""
    home = tmp_path_factory.mktemp("metadata")
    words = [*OWN, sys.executable, "-m", "tests.attacks.metadata", home / "prism", home / "cache"]
    done = subprocess.run(words, env=environment(home), cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def hosts(report):
    return {line.split()[0] for line in report["reached"]}


@pytest.mark.parametrize("mode", MODES)
def test_metadata_services_link_local_neighbors_and_other_addresses_are_not_reached(
    findings, mode
):
    assert findings[mode]["network"] == "own"
    assert hosts(findings[mode]) & {*METADATA, NEIGHBOR, BRIDGE} == set()


@pytest.mark.parametrize("mode", MODES)
def test_workspace_cannot_remove_its_filter(findings, mode):
    assert findings[mode]["removal"] == f"-{errno.EPERM}"


def test_lan_reaches_the_database_and_the_internet(findings):
    assert hosts(findings["lan"]) == {DATABASE, WEB, WEB_IPV6}


def test_internet_reaches_public_addresses_only(findings):
    assert hosts(findings["internet"]) == {WEB, WEB_IPV6}


def test_isolated_reaches_nothing(findings):
    assert hosts(findings["isolated"]) == set()
    assert WEB not in findings["isolated"]["name"]


def test_named_port_is_reached_and_no_other_port(findings):
    database = [line for line in findings["named"]["reached"] if line.startswith(DATABASE)]
    assert database == [f"{DATABASE} tcp 5432", f"{DATABASE} tcp 5432 bound"]


@pytest.mark.parametrize("mode", ["lan", "internet", "named"])
def test_names_are_resolved_by_a_resolver_at_a_refused_address(findings, mode):
    assert findings[mode]["name"] == WEB
