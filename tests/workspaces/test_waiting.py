"""The answer to a launch request that waits."""

import json
from typing import Any

import msgspec
import pytest

from prism.workspaces.model import IdleSummary, WorkspaceFailure, WorkspaceState
from prism.workspaces.read_model import CachedWorkspace
from prism.workspaces.waiting import _HeldAnswer
from tests.workspaces.test_plan import NEW

LOST = "its machine has no role"


def answer_of(notes, note, **more):
    no_response: Any = None
    held = _HeldAnswer(no_response)
    held.answer = {"name": "mine", "state": "launching", "notes": notes}
    held.amend(
        CachedWorkspace(
            msgspec.structs.replace(NEW, **more),
            WorkspaceState.RUNNING,
            b"",
            IdleSummary("t", note=note),
        )
    )
    return json.loads(held._body)


@pytest.mark.parametrize(("notes", "note", "expected"), [
    ([], LOST, [LOST]),
    (["its template names no system"], LOST, ["its template names no system", LOST]),
    ([], None, []),
])  # fmt: skip
def test_note_of_the_machine_is_in_the_answer(notes, note, expected):
    assert answer_of(notes, note)["notes"] == expected


def test_answer_has_the_reached_state_and_the_failure():
    answer = answer_of([], None, failure=WorkspaceFailure("X", "broken"))
    assert (answer["state"], answer["failure"]["code"]) == ("running", "X")
