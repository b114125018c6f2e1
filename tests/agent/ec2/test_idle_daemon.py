"""The idle daemon of an EC2 instance, which hibernates it or powers it off."""

import json
import os
from functools import partial

import pytest

from prism.agent.ec2 import idle_daemon
from prism.agent.ec2.ec2_host import HostView
from prism.agent.ec2.idle_daemon import IdleDaemon
from prism.agent.ec2.power import CannotSleep
from prism.agent.idle import gpus
from prism.agent.system.processes import spawn
from tests.waiting import eventually

RULE = {"profile": "p", "seconds": 0.1, "action": "hibernate", "limits": {}}


class RecordedPower:
    """Records the calls."""

    def __init__(self):
        self.refuses, self.calls, self.goes_off = "", [], False

    def sleep(self):
        self.calls.append("sleep")
        if self.refuses:
            raise CannotSleep(self.refuses)

    def off(self):
        self.calls.append("off")
        return self.goes_off


@pytest.fixture
def power():
    return RecordedPower()


@pytest.fixture
def idle_runner(tmp_path, power, monkeypatch):
    monkeypatch.setattr(idle_daemon, "_wait_for_sleep", lambda within: True)
    (tmp_path / "idle.json").write_text(json.dumps(RULE))
    (tmp_path / "etc").mkdir()
    how = {"console": tmp_path / "console", "of": os.getpid(), "build": "b"}
    daemon = IdleDaemon(tmp_path, tmp_path / "etc", power, **how)
    daemon._watch.notice("on")
    return daemon


def go_down_when_due(daemon):
    """Wait until the action is due, then take it."""

    def due():
        daemon._watch.step([])
        return daemon._watch.goal()

    daemon._go_down(eventually(due))
    daemon._write_report()


def report_of(tmp_path):
    return json.loads((tmp_path / "seen.json").read_text())


def test_idle_daemon_hibernates_and_records_the_action(idle_runner, power, tmp_path):
    go_down_when_due(idle_runner)
    assert power.calls == ["sleep"]
    report = report_of(tmp_path)
    assert (report["state"], report["acted"]["action"], report["build"]) == (
        None,
        "hibernate",
        "b",
    )
    line = (tmp_path / "console").read_text()
    assert line.strip() == f"prism-idle: {json.dumps(report['acted'], separators=(',', ':'))}"


def test_restarted_idle_daemon_reports_the_last_action(idle_runner, power, tmp_path):
    go_down_when_due(idle_runner)
    how = {"console": tmp_path / "console", "of": os.getpid(), "build": "c"}
    restarted = IdleDaemon(tmp_path, tmp_path / "etc", power, **how)
    restarted._write_report()
    assert report_of(tmp_path)["acted"]["action"] == "hibernate"


def test_idle_daemon_reports_no_action_when_sleep_and_power_off_fail(idle_runner, power, tmp_path):
    power.refuses = "it has no role"
    go_down_when_due(idle_runner)
    go_down_when_due(idle_runner)
    assert power.calls == ["sleep", "off"]
    assert report_of(tmp_path).get("acted") is None
    assert (tmp_path / "console").read_text().splitlines()[-1] == "prism-idle: {}"
    assert idle_runner._watch.goal() == "", "the idle time begins again"


def test_host_view_reads_services_and_their_tokens_from_files(tmp_path):
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


def test_host_view_lists_no_services_without_a_services_file(tmp_path):
    assert list(HostView(tmp_path, tmp_path).serving()) == []


def test_ended_nvidia_smi_leaves_no_zombie(idle_runner, tmp_path, monkeypatch):
    pids = []

    def spawn_and_record(start):
        pid, pipe = spawn(start)
        pids.append(pid)
        return pid, pipe

    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho GPU-00000000-aa, 7\n")
    smi.chmod(0o700)
    monkeypatch.setattr(gpus, "spawn", spawn_and_record)
    monkeypatch.setattr(gpus, "used", partial(gpus.used, str(tmp_path)))
    rule = {**RULE, "seconds": 3600, "limits": {"gpu": 5.0}}
    (tmp_path / "idle.json").write_text(json.dumps(rule))

    def is_reaped():
        idle_runner._watch._next = 0.0
        idle_runner.step()
        return pids and not os.path.exists(f"/proc/{pids[0]}")

    eventually(is_reaped)
