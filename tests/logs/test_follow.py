"""Logs of a real machine, read and followed through the real daemon."""

import threading
import urllib.request

import pytest

from tests.project.living import Home
from tests.waiting import eventually

TEMPLATE = """
name: Talker
description: Says what it is asked for
packages: {pip: []}
ports: [8888]
services:
  page: {command: "python -m http.server {port} --bind 127.0.0.1", port: 8888, health: /}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("logs") / "home")
    (home.folder / "templates").mkdir()
    (home.folder / "templates" / "talker.yml").write_text(TEMPLATE)
    yield home
    home.clear()


@pytest.fixture(scope="module")
def logging_workspace(home):
    """A workspace that says each request it gets."""
    with home.living():
        home.said("launch", "Talker", "mine")
        yield home


def ask(home, path, name="mine"):
    url = home.client.workspaces.connect(name).services["page"].url
    with urllib.request.urlopen(f"{url}{path}"):
        return path


class Follower(threading.Thread):
    """Reads a log for as long as it goes on."""

    def __init__(self, home, name, kind, tail=100):
        super().__init__()
        self.lines, self._client = [], home.client
        self._what = (name, kind, tail)
        self.start()

    def run(self):
        for line in self._client.logs.follow(*self._what):
            self.lines.append(line)

    def hears(self, word):
        return eventually(lambda: any(word in line for line in self.lines))


def test_each_kind_says_what_it_is_for(logging_workspace):
    ask(logging_workspace, "/?first")
    logs = logging_workspace.client.logs
    assert any(line.endswith(" on") for line in logs.get("mine").lines)
    assert any("service page answers" in line for line in logs.get("mine", "console").lines)
    assert any("virtual environment" in line for line in logs.get("mine", "cloud-init").lines)
    assert any("instance_asked" in line for line in logs.get("mine", "system").lines)
    lines = eventually(
        lambda: [line for line in logs.get("mine", "application").lines if "first" in line]
    )
    assert "GET /?first" in lines[0]
    assert len(logs.get("mine", "application", 1).lines) == 1
    assert "GET /?first" in logging_workspace.cli("logs", "mine", "--type", "application").stdout
    assert logging_workspace.said("logs", "mine", "-n", "1")["tail"] == 1


def test_a_follower_hears_each_line_once_and_the_end(logging_workspace):
    logging_workspace.said("launch", "Talker", "short")
    follower = Follower(logging_workspace, "short", "application", 1)
    paths = [ask(logging_workspace, f"/?number={number}.", "short") for number in range(20)]
    follower.hears(paths[-1])
    heard = [line.split()[6] for line in follower.lines if "number=" in line]
    assert heard == paths
    short_follower = Follower(logging_workspace, "short", "system")
    logging_workspace.said("terminate", "short", "--yes")
    for thread in (follower, short_follower):
        thread.join(120)
        assert not thread.is_alive()
    assert "state=terminated" in short_follower.lines[-1]


def test_the_daemon_goes_home_whoever_listens(tmp_path):
    """And a reader who reads nothing keeps nobody from anything."""
    home = Home(tmp_path / "home")
    (home.folder / "templates").mkdir()
    (home.folder / "templates" / "talker.yml").write_text(TEMPLATE)
    try:
        with home.living() as daemon:
            home.said("launch", "Talker", "mine")
            deaf = home.client.logs.follow("mine", "application")
            follower = Follower(home, "mine", "application")
            next(deaf)
            ask(home, "/?word")
            follower.hears("/?word")
            daemon.terminate()
            assert daemon.wait(120) == 0
            follower.join(120)
            assert not follower.is_alive()
            deaf.close()
    finally:
        home.clear()
