"""Ids of events for people who may not see all events."""

import os
import stat
from datetime import UTC, datetime

import pytest

from prism.kit.event_ids import KEY_BYTES, NEVER_SENT, OpaqueEventIds, secret_in
from prism.kit.events import RESYNC, RecordedEvent

IDS = OpaqueEventIds(b"a" * KEY_BYTES)


def event(number, kind="noted"):
    return RecordedEvent(number, kind, datetime(2026, 1, 1, tzinfo=UTC), "ada", "n", {})


@pytest.mark.parametrize("number", [0, 1, 42, 10**15])
def test_id_leads_back_to_the_number(number):
    assert IDS.number(IDS.of_event(event(number))) == number
    assert IDS.number(IDS.of_position(number)) == number


def test_event_has_one_id_and_positions_have_others_each_time():
    assert IDS.of_event(event(7)) == IDS.of_event(event(7))
    assert len({IDS.of_event(event(7)), IDS.of_position(7), IDS.of_position(7)}) == 3
    assert IDS.of_event(event(7, RESYNC)) != IDS.of_event(event(7, RESYNC))


def test_ids_say_nothing_about_how_many_events_lie_between_them():
    ids = [IDS.of_event(event(number)) for number in range(1, 200)]
    assert len(set(ids)) == len(ids)
    assert ids != sorted(ids)
    shared = {first[:12] for first in ids} & {second[:12] for second in ids[1:]}
    assert len(shared) == len(ids) - 1, "no common prefix but evt_"


def test_numbers_and_forged_ids_are_after_all_events():
    foreign = OpaqueEventIds(b"b" * KEY_BYTES).of_event(event(7))
    own = IDS.of_event(event(7))
    changed = own[:-1] + ("0" if own[-1] != "0" else "1")
    for id in ("evt_0000000000000007", "7", foreign, changed):
        assert IDS.number(id) == NEVER_SENT, id
    assert (IDS.number("evt_0"), IDS.number("0")) == (0, 0)


@pytest.mark.parametrize("id", ["", "x", "-1", "evt_", "evt_x", "evt_" + "g" * 32])
def test_other_text_is_no_id(id):
    assert IDS.number(id) is None


def test_secret_stays_the_same_and_is_readable_by_its_owner_only(tmp_path):
    secret = secret_in(path := tmp_path / "event-ids.key")
    assert (len(secret), secret_in(path)) == (KEY_BYTES, secret)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["event-ids.key"]


def test_damaged_secret_is_replaced(tmp_path):
    (path := tmp_path / "event-ids.key").write_bytes(b"x")
    assert len(secret_in(path)) == KEY_BYTES
