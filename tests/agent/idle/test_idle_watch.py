"""The idle watch of a simulated machine: its goal, its report and the event log."""

import json
import os
import time
from typing import Any

import pytest

from prism.agent.idle.idle_watch import IdleWatch
from prism.agent.machine.event_log import EventLog
from prism.agent.machine.folder import Folder
from prism.agent.machine.machine_config import MachineConfig
from tests.optional import not_none
from tests.waiting import eventually

RULE = {"profile": "t", "seconds": 0.1, "action": "hibernate", "limits": {}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "order.json").write_text(json.dumps({"name": "mine", "services": {}}))
    write_rule(tmp_path, **RULE)
    return Folder(tmp_path)


def write_rule(path, **rule):
    draft = path / "idle.new"
    draft.write_text(json.dumps(rule))
    draft.replace(path / "idle.json")


@pytest.fixture
def watch(folder):
    watch = IdleWatch(MachineConfig(folder.spec(), folder), {})
    watch.notice("on")
    return watch


def wait_for_goal(watch, goal):
    """Take samples until the watch has that goal."""

    def wanted():
        watch.step([])
        return watch.goal() == goal

    return eventually(wanted, 120)


def test_idle_watch_records_the_hibernation(watch):
    wait_for_goal(watch, "asleep")
    assert watch.report()["acted"] is None, "not done yet"
    for phase in ("stopping", "asleep"):
        watch.notice(phase)
    acted = watch.report()["acted"]
    assert (acted["action"], acted["profile"], acted["note"]) == ("hibernate", "t", None)
    assert acted["seconds"] >= 0.1


def test_idle_watch_stops_a_machine_that_cannot_hibernate_and_records_why(watch):
    wait_for_goal(watch, "asleep")
    for phase in ("stopping", "on"):  # some process did not freeze
        watch.notice(phase)
    assert watch.goal() == "off"
    for phase in ("stopping", "off"):
        watch.notice(phase)
    acted = watch.report()["acted"]
    assert acted["action"] == "stop"
    assert acted["note"] == "it could not be put to sleep, so it was stopped"


def test_idle_watch_starts_a_new_idle_period_when_the_machine_is_started(watch):
    wait_for_goal(watch, "asleep")
    for phase in ("stopping", "asleep", "on"):
        watch.notice(phase)
    assert watch.goal() == ""
    assert watch.report()["state"] is None
    assert watch.report()["acted"]["action"] == "hibernate", "the last action is still reported"


def test_idle_watch_does_not_record_a_stop_by_request(watch):
    eventually(lambda: watch.step([]) or watch.report()["state"] == "idle", 120)
    for phase in ("stopping", "off"):
        watch.notice(phase)
    assert watch.report()["acted"] is None


def test_idle_watch_restores_the_last_action_after_a_restart(folder, watch):
    wait_for_goal(watch, "asleep")
    for phase in ("stopping", "asleep"):
        watch.notice(phase)
    restarted = IdleWatch(MachineConfig(folder.spec(), folder), watch.report())
    assert not_none(restarted.report())["acted"] == not_none(watch.report())["acted"]


def test_idle_watch_starts_a_new_idle_period_when_limits_change(folder, watch):
    eventually(lambda: watch.step([]) or watch.report()["state"] == "idle", 120)
    write_rule(folder.path, **RULE | {"seconds": 600})
    watch.step([])
    assert watch.report()["state"] == "idle", (
        "a longer period with the same limits keeps the verdict"
    )
    write_rule(folder.path, **RULE | {"seconds": 600, "limits": {"cpu": 5.0}})
    watch.step([])
    assert watch.report()["state"] is None


def test_idle_watch_has_no_verdict_without_a_profile(folder, watch):
    watch.step([])
    write_rule(folder.path)
    watch.step([])
    assert watch.report() is None
    os.unlink(folder.path / "idle.json")
    watch.step([])
    assert (watch.report(), watch.goal()) == (None, "")


def report(**more: Any) -> Any:
    still: dict[str, Any] = {"stage": None, "failure": None, "notes": [], "services": {}}
    return {**still, "phase": "on", "idle": None} | more


def test_event_log_contains_each_change_once(tmp_path):
    event_log = EventLog(tmp_path / "logs")
    service = {"answered": True, "port": 5, "crashes": 0, "exit": None}
    acted = {"at": time.time(), "action": "stop", "seconds": 900, "profile": "gpu", "note": None}
    story = [
        report(phase="starting", stage="packages"),
        report(services={"page": service}),
        report(services={"page": service}),
        report(services={"page": {**service, "answered": False, "crashes": 1, "exit": 3}}),
        report(phase="off", idle={"acted": acted}, failure={"code": "X", "message": "why"}),
        report(phase="off", idle={"acted": acted}, failure={"code": "X", "message": "why"}),
    ]
    before: Any = {}
    for now in story:
        event_log.note(before, now)
        before = now
    lines = (tmp_path / "logs" / "console.log").read_text().splitlines()
    assert [line.partition(" ")[2] for line in lines] == [
        "starting: packages",
        "on",
        "service page answers on port 5",
        "service page ended with exit code 3",
        "off",
        "X: why",
        "idle for 15 minutes under profile gpu: stopped",
    ]


def test_event_log_creates_no_folder_for_a_machine_that_is_gone(tmp_path):
    EventLog(tmp_path / "logs").note(report(), report(phase="gone"))
    assert not (tmp_path / "logs").exists()
