"""A daemon of an ordinary user whose workspaces have their own networks."""

import json
import shutil
from functools import partial

import pytest

from tests.attacks.ordinary import TUN, can_be_ordinary, ordinary_home
from tests.waiting import eventually

TEMPLATE = """
name: Page
description: Serves its home
packages: {pip: []}
ports: [8080]
services:
  page: {command: "python -m http.server {port} --bind 127.0.0.1", port: 8080, health: /}
"""
DIAL = """
import socket, sys
for port in sys.argv[1:]:
    try:
        with socket.create_connection(("127.0.0.1", int(port)), timeout=5):
            print("connected")
    except OSError as error:
        print(type(error).__name__)
"""


def can_have_networks():
    """Whether an ordinary user's workspaces can have their own networks here."""
    return bool(shutil.which("pasta")) and TUN.exists() and can_be_ordinary()


@pytest.fixture(scope="module")
def home():
    """A home with two workspaces that were launched by an earlier daemon."""
    if not can_have_networks():
        pytest.skip(f"needs bubblewrap, passt and {TUN}")
    with ordinary_home() as home:
        folder = home.folder / "templates"
        folder.mkdir()
        (folder / "page.yml").write_text(TEMPLATE)
        with home.run_daemon():
            for name in ("mine", "other"):
                home.cli_json("launch", "page", name)
        with home.run_daemon():
            yield home
            for name in ("mine", "other"):
                home.cli_json("terminate", name, "--yes")


def folder(home, name):
    return home.folder / "workspaces" / home.cli_json("show", name)["id"]


def report(home, name):
    return json.loads((folder(home, name) / "seen.json").read_bytes())


def test_workspace_with_its_own_network_is_served_by_the_daemon(home):
    port = json.loads((home.folder / "daemon.lock").read_text())["port"]
    for name in ("mine", "other"):
        assert report(home, name)["network"] == "own"
        done = home.cli("exec", name, "--", "sh", "-c", f"echo {name} > whose")
        assert done.returncode == 0, done.stderr
        code = (
            "import sys, urllib.request as u; print(u.urlopen(u.Request(sys.argv[1],"
            " headers={'Host': sys.argv[2]})).read().decode().strip())"
        )
        host = f"{name}.localhost:{port}"
        program = home.program(code, f"http://127.0.0.1:{port}/whose", host)
        assert program.communicate()[0] == f"{name}\n"


def test_workspace_reaches_its_own_port_but_no_daemon_and_no_neighbour(home):
    port = json.loads((home.folder / "daemon.lock").read_text())["port"]
    neighbour = report(home, "other")["services"]["page"]["port"]
    own = report(home, "mine")["services"]["page"]["port"]
    words = ("exec", "mine", "--", "python", "-c", DIAL)
    done = home.cli(*words, str(port), str(neighbour), str(own))
    outcomes = done.stdout.split()
    assert done.returncode == 0, done.stderr
    assert outcomes == ["ConnectionRefusedError", "ConnectionRefusedError", "connected"]


def is_in(home, state):
    return home.cli_json("show", "mine")["state"] == state


def test_workspace_has_its_own_network_after_a_stop_and_start(home):
    for verb, state in (("stop", "stopped"), ("start", "running")):
        home.cli_json(verb, "mine")
        eventually(partial(is_in, home, state), 120)
    assert report(home, "mine")["network"] == "own"
