"""What the idle watch of a machine of its own does when it is time to go down."""

import json
import os

import pytest

from prism.agent import idle_daemon
from prism.agent.ec2_host import HostView
from prism.agent.idle_daemon import IdleDaemon
from prism.agent.power import CannotSleep
from tests.waiting import eventually

RULE = {"profile": "p", "seconds": 0.1, "action": "hibernate", "limits": {}}


class Power:
    """Does as it is told, and nothing."""

    def __init__(self):
        self.refuses, self.did, self.goes_off = "", [], False

    def sleep(self):
        self.did.append("sleep")
        if self.refuses:
            raise CannotSleep(self.refuses)

    def off(self):
        self.did.append("off")
        return self.goes_off


@pytest.fixture
def power():
    return Power()


@pytest.fixture
def idle_runner(tmp_path, power, monkeypatch):
    monkeypatch.setattr(idle_daemon, "_wait_for_sleep", lambda within: True)
    (tmp_path / "idle.json").write_text(json.dumps(RULE))
    (tmp_path / "etc").mkdir()
    how = {"console": tmp_path / "console", "of": os.getpid(), "build": "b"}
    daemon = IdleDaemon(tmp_path, tmp_path / "etc", power, **how)
    daemon._watch.notice("on")
    return daemon


def goes(daemon):
    """Until it is time, and then down."""

    def due():
        daemon._watch.step([])
        return daemon._watch.goal()

    daemon._go_down(eventually(due))
    daemon._write_report()


def seen(tmp_path):
    return json.loads((tmp_path / "seen.json").read_text())


def test_who_was_asleep_begins_anew_and_remembers_that(idle_runner, power, tmp_path):
    goes(idle_runner)
    assert power.did == ["sleep"]
    report = seen(tmp_path)
    assert (report["state"], report["acted"]["action"], report["build"]) == (
        None,
        "hibernate",
        "b",
    )
    line = (tmp_path / "console").read_text()
    assert line.strip() == f"prism-idle: {json.dumps(report['acted'], separators=(',', ':'))}"


def test_another_watch_remembers_what_the_one_before_it_did(idle_runner, power, tmp_path):
    goes(idle_runner)
    how = {"console": tmp_path / "console", "of": os.getpid(), "build": "c"}
    heir = IdleDaemon(tmp_path, tmp_path / "etc", power, **how)
    heir._write_report()
    assert seen(tmp_path)["acted"]["action"] == "hibernate"


def test_who_cannot_be_powered_off_has_not_done_it(idle_runner, power, tmp_path):
    power.refuses = "it has no role"
    goes(idle_runner)
    goes(idle_runner)
    assert power.did == ["sleep", "off"]
    assert seen(tmp_path).get("acted") is None
    assert (tmp_path / "console").read_text().splitlines()[-1] == "prism-idle: {}"
    assert idle_runner._watch.goal() == "", "a new time to be idle"


def test_a_service_keeps_its_secret_in_its_own_file(tmp_path):
    token = "t" * 43
    (tmp_path / "lab.env").write_text(f'LANG="C.UTF-8"\nJUPYTER_TOKEN="{token}"\n')
    (tmp_path / "services.json").write_text(
        json.dumps({"home": "/home/ada", "services": {"lab": {"port": 1, "command": "jupyter"}}})
    )
    view = HostView(tmp_path, tmp_path / "state")
    assert view.secret("lab") == token
    assert view.secret("none") == ""
    assert str(view.folder.home) == "/home/ada"
    [lab] = view.serving()
    assert (lab.name, lab.port, lab.answered) == ("lab", 1, False)


def test_a_machine_that_serves_nothing_is_fine(tmp_path):
    assert list(HostView(tmp_path, tmp_path).serving()) == []
