"""What a watch makes of a machine's phases; the machine itself is played here."""

import json
import os
import time
from typing import Any

import pytest

from prism.agent.event_log import EventLog
from prism.agent.folder import Folder
from prism.agent.idle_watch import IdleWatch
from prism.agent.machine_config import MachineConfig
from tests.optional import not_none
from tests.waiting import eventually

RULE = {"profile": "t", "seconds": 0.1, "action": "hibernate", "limits": {}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "order.json").write_text(json.dumps({"name": "mine", "services": {}}))
    tell(tmp_path, **RULE)
    return Folder(tmp_path)


def tell(path, **rule):
    draft = path / "idle.new"
    draft.write_text(json.dumps(rule))
    draft.replace(path / "idle.json")


@pytest.fixture
def watch(folder):
    watch = IdleWatch(MachineConfig(folder.order(), folder), {})
    watch.notice("on")
    return watch


def goes(watch, goal):
    """Until it wants to go there."""

    def wanted():
        watch.step([])
        return watch.goal() == goal

    return eventually(wanted, 120)


def test_it_goes_down_and_tells_what_it_did(watch):
    goes(watch, "asleep")
    assert watch.seen()["acted"] is None, "not done yet"
    for phase in ("stopping", "asleep"):
        watch.notice(phase)
    acted = watch.seen()["acted"]
    assert (acted["action"], acted["profile"], acted["note"]) == ("hibernate", "t", None)
    assert acted["seconds"] >= 0.1


def test_what_cannot_be_put_to_sleep_is_stopped_and_says_so(watch):
    goes(watch, "asleep")
    for phase in ("stopping", "on"):  # some process did not freeze
        watch.notice(phase)
    assert watch.goal() == "off"
    for phase in ("stopping", "off"):
        watch.notice(phase)
    acted = watch.seen()["acted"]
    assert acted["action"] == "stop"
    assert acted["note"] == "it could not be put to sleep, so it was stopped"


def test_who_wakes_it_begins_anew(watch):
    goes(watch, "asleep")
    for phase in ("stopping", "asleep", "on"):
        watch.notice(phase)
    assert watch.goal() == ""
    assert watch.seen()["state"] is None
    assert watch.seen()["acted"]["action"] == "hibernate", "that is not forgotten"


def test_somebody_elses_stop_is_not_its_doing(watch):
    eventually(lambda: watch.step([]) or watch.seen()["state"] == "idle", 120)
    for phase in ("stopping", "off"):
        watch.notice(phase)
    assert watch.seen()["acted"] is None


def test_what_was_done_outlives_the_supervisor(folder, watch):
    goes(watch, "asleep")
    for phase in ("stopping", "asleep"):
        watch.notice(phase)
    heir = IdleWatch(MachineConfig(folder.order(), folder), watch.seen())
    assert not_none(heir.seen())["acted"] == not_none(watch.seen())["acted"]


def test_other_limits_begin_with_what_they_find_themselves(folder, watch):
    eventually(lambda: watch.step([]) or watch.seen()["state"] == "idle", 120)
    tell(folder.path, **RULE | {"seconds": 600})
    watch.step([])
    assert watch.seen()["state"] == "idle", "more patience, the same eyes"
    tell(folder.path, **RULE | {"seconds": 600, "limits": {"cpu": 5.0}})
    watch.step([])
    assert watch.seen()["state"] is None


def test_without_a_rule_nobody_looks(folder, watch):
    watch.step([])
    tell(folder.path)
    watch.step([])
    assert watch.seen() is None
    os.unlink(folder.path / "idle.json")
    watch.step([])
    assert (watch.seen(), watch.goal()) == (None, "")


def seen(**more: Any) -> Any:
    still: dict[str, Any] = {"stage": None, "failure": None, "notes": [], "services": {}}
    return {**still, "phase": "on", "idle": None} | more


def test_the_event_log_has_each_change_once(tmp_path):
    diary = EventLog(tmp_path / "logs")
    service = {"answered": True, "port": 5, "crashes": 0, "exit": None}
    acted = {"at": time.time(), "action": "stop", "seconds": 900, "profile": "gpu", "note": None}
    story = [
        seen(phase="starting", stage="packages"),
        seen(services={"page": service}),
        seen(services={"page": service}),
        seen(services={"page": {**service, "answered": False, "crashes": 1, "exit": 3}}),
        seen(phase="off", idle={"acted": acted}, failure={"code": "X", "message": "why"}),
        seen(phase="off", idle={"acted": acted}, failure={"code": "X", "message": "why"}),
    ]
    before: Any = {}
    for now in story:
        diary.note(before, now)
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


def test_the_diary_of_a_machine_that_is_gone_is_gone(tmp_path):
    EventLog(tmp_path / "logs").note(seen(), seen(phase="gone"))
    assert not (tmp_path / "logs").exists()
