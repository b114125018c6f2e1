"""Logs of a real machine, read and followed through the real daemon."""

import threading
import urllib.request

import pytest

from tests.project.home import Home
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
    """A workspace whose service logs each request."""
    with home.run_daemon():
        home.cli_json("launch", "Talker", "mine")
        yield home


def ask(home, path, name="mine"):
    url = home.client.workspaces.connect(name).services["page"].url
    with urllib.request.urlopen(f"{url}{path}"):
        return path


class Follower(threading.Thread):
    """Reads a log until it ends."""

    def __init__(self, home, name, kind, tail=100):
        super().__init__()
        self.lines, self._client = [], home.client
        self._what = (name, kind, tail)
        self.start()

    def run(self):
        for line in self._client.logs.follow(*self._what):
            self.lines.append(line)

    def wait_for(self, word):
        return eventually(lambda: any(word in line for line in self.lines))


def test_each_log_type_contains_its_lines(logging_workspace):
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
    assert logging_workspace.cli_json("logs", "mine", "-n", "1")["tail"] == 1


def test_followed_log_has_each_line_once_and_ends_with_the_workspace(logging_workspace):
    logging_workspace.cli_json("launch", "Talker", "short")
    follower = Follower(logging_workspace, "short", "application", 1)
    paths = [ask(logging_workspace, f"/?number={number}.", "short") for number in range(20)]
    follower.wait_for(paths[-1])
    received = [line.split()[6] for line in follower.lines if "number=" in line]
    assert received == paths
    short_follower = Follower(logging_workspace, "short", "system")
    logging_workspace.cli_json("terminate", "short", "--yes")
    for thread in (follower, short_follower):
        thread.join(120)
        assert not thread.is_alive()
    assert "state=terminated" in short_follower.lines[-1]


def test_daemon_shuts_down_while_logs_are_followed(tmp_path):
    """One client reads its log, another has stopped reading."""
    home = Home(tmp_path / "home")
    (home.folder / "templates").mkdir()
    (home.folder / "templates" / "talker.yml").write_text(TEMPLATE)
    try:
        with home.run_daemon() as daemon:
            home.cli_json("launch", "Talker", "mine")
            unread = home.client.logs.follow("mine", "application")
            follower = Follower(home, "mine", "application")
            next(unread)
            ask(home, "/?word")
            follower.wait_for("/?word")
            daemon.terminate()
            assert daemon.wait(120) == 0
            follower.join(120)
            assert not follower.is_alive()
            unread.close()
    finally:
        home.clear()
