"""A person cannot tell from streams and ids that there are events of others, nor how many."""

import contextlib
import itertools

import httpx
import pytest

from tests.attacks.conftest import DaemonByToken

ROLE = "viewer"


@pytest.fixture
def viewer(token_daemon):
    """The token of a viewer of the project `Reef`."""
    _, token = token_daemon.token(token_daemon.mail("Reef", ROLE), scope="read")
    return token


@contextlib.contextmanager
def stream(daemon: DaemonByToken, token, last=None):
    """The lines of an event stream, from after `last` on."""
    headers = {"authorization": f"Bearer {token}"} | ({"last-event-id": last} if last else {})
    url = f"{daemon.base}/api/v1/events"
    with httpx.stream("GET", url, headers=headers, timeout=120) as answer:
        assert answer.status_code == 200
        yield answer.iter_lines()


def block(lines):
    """The fields of the next block."""
    block = itertools.takewhile(bool, lines)
    return dict(line.partition(":")[::2] for line in block)


counter = itertools.count()


def event_of_others(daemon):
    daemon.operator.projects.create(f"Unseen {next(counter)}")


def event_for_the_viewer(daemon):
    daemon.operator.projects.update(daemon.reef, description=f"number {next(counter)}")


def test_stream_contains_nothing_between_two_visible_events(token_daemon, viewer):
    with stream(token_daemon, viewer) as lines:
        assert block(lines)["retry"] == " 1000"
        events = []
        for _ in range(2):
            for _ in range(3):
                event_of_others(token_daemon)
            event_for_the_viewer(token_daemon)
            events.append(block(lines)["event"])
    assert events == [" project_changed"] * 2, "no comment and no id comes between them"


def test_ids_are_different_at_each_connection_and_no_numbers(token_daemon, viewer):
    first = []
    for _ in range(2):
        with stream(token_daemon, viewer) as lines:
            first.append(block(lines)["id"].strip())
    assert len(set(first)) == 2, "equal ids would say that nothing has happened"
    assert all(len(id) == len("evt_") + 32 for id in first)


def test_stream_resumes_after_an_opaque_id_without_a_gap(token_daemon, viewer):
    with stream(token_daemon, viewer) as lines:
        start = block(lines)["id"].strip()
    event_of_others(token_daemon)
    event_for_the_viewer(token_daemon)
    with stream(token_daemon, viewer, start) as lines:
        block(lines)
        seen = block(lines)
    event_for_the_viewer(token_daemon)
    with stream(token_daemon, viewer, seen["id"].strip()) as lines:
        block(lines)
        following = block(lines)
    assert (seen["event"], following["event"]) == (" project_changed", " project_changed")
    assert seen["id"] != following["id"]
    with stream(token_daemon, viewer, start) as lines:
        block(lines)
        assert [block(lines)["id"] for _ in range(2)] == [seen["id"], following["id"]]


@pytest.mark.parametrize("last", ["evt_0000000000000001", "99999999999", "evt_" + "0" * 32])
def test_person_cannot_search_for_the_newest_number(token_daemon, viewer, last):
    with stream(token_daemon, viewer, last) as lines:
        block(lines)
        assert block(lines)["event"] == " resync"


def test_audit_log_has_the_same_opaque_ids_and_cursors(token_daemon, viewer):
    for _ in range(3):
        event_for_the_viewer(token_daemon)
        event_of_others(token_daemon)
    whole = token_daemon.ask(viewer, "GET", "/api/v1/audit?event=project_changed").json()
    answer = token_daemon.ask(viewer, "GET", "/api/v1/audit?event=project_changed&limit=2")
    ids = [entry["id"] for entry in answer.json()]
    link = answer.headers["link"].partition(">")[0].removeprefix("<")
    ids += [entry["id"] for entry in token_daemon.ask(viewer, "GET", link).json()]
    assert ids == [entry["id"] for entry in whole][: len(ids)]
    assert len({*ids}) == len(ids) >= 3
    assert not any(id.removeprefix("evt_").isdigit() and len(id) < 30 for id in ids)
    newest = token_daemon.ask(viewer, "GET", "/api/v1/audit?cursor=evt_0000000000000002").json()
    assert newest[0]["id"] == whole[0]["id"], "a number is no cursor"


def test_operator_has_the_numbers(token_daemon):
    event_for_the_viewer(token_daemon)
    entries = itertools.islice(token_daemon.operator.audit.entries(), 2)
    assert all(entry.id.removeprefix("evt_").isdigit() for entry in entries)
