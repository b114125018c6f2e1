"""What a machine lacks while it runs is shown with its workspace."""

import pytest

from prism.workspaces.model import LaunchRequest, LifecycleVerb, Observed
from prism.workspaces.ports import Machine
from prism.workspaces.surveys.machine_notes import MachineNotes
from tests.conftest import ML

NOTE = "its memory is not limited: Prism can make no control group here"


def machine(key, *notes):
    return Machine(id=f"i-{key}", key=key, observed=Observed.ON, notes=notes)


@pytest.fixture
def running(daemon, cloud):
    """A running workspace; returns the id of its machine."""
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    daemon.settle()
    return daemon.workspaces.named("mine").machine_id


def test_list_and_single_workspace_have_the_notes_while_the_machine_has_them(
    daemon, cloud, http, running
):
    first = http("GET", "/api/v1/instances")
    assert first.json()[0]["notes"] == []
    cloud.notes[running] = (NOTE,)
    daemon.settle()
    tag = {"If-None-Match": first.headers["etag"]}
    again = http("GET", "/api/v1/instances", headers=tag)
    assert (again.status_code, again.json()[0]["notes"]) == (200, [NOTE])
    assert http("GET", "/api/v1/instances/mine").json()["notes"] == [NOTE]
    del cloud.notes[running]
    daemon.settle()
    assert http("GET", "/api/v1/instances/mine").json()["notes"] == []


def test_note_is_there_as_soon_as_the_row_shows_the_new_state(daemon, cloud, running):
    """The GUI reads a workspace again when its state changes, and not after each survey."""
    seen = []
    daemon.workspaces.ask("mine", LifecycleVerb.STOP)
    daemon.settle()
    daemon.clock.advance(minutes=1)
    daemon.settle()
    daemon.db.committed.append(lambda tx: seen.append(daemon.read_model.fresh("mine")))
    cloud.notes[running] = (NOTE,)
    daemon.workspaces.ask("mine", LifecycleVerb.START)
    daemon.settle()
    daemon.clock.advance(minutes=1)
    daemon.settle()
    running_rows = [row for row in seen if b'"state":"running"' in row]
    assert running_rows
    assert all(NOTE.encode() in row for row in running_rows)


def test_listeners_hear_of_changed_notes_and_locations_are_independent():
    notes, changes = MachineNotes(), []
    notes.changed.append(lambda ids: changes.append(set(ids)))
    notes.saw({"local": [machine("ws_1", "a"), machine("ws_2")], "aws": [machine("ws_3", "b")]})
    assert changes == [{"ws_1"}, {"ws_3"}]
    notes.saw({"local": [machine("ws_1", "a"), machine("ws_2")]})
    notes.looked_at("local", machine("ws_1", "a"))
    notes.looked_at("local", machine("ws_2"))
    assert len(changes) == 2
    notes.looked_at("local", machine("ws_2", "c"))
    notes.saw({"local": [machine("ws_2", "c")]})
    assert changes[2:] == [{"ws_2"}, {"ws_1"}]
