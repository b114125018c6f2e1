"""What is said to somebody who waits for a launch."""

import json
from typing import Any

import msgspec
import pytest

from prism.workspaces.model import Failure, Idle, State
from prism.workspaces.read_model import CachedWorkspace
from prism.workspaces.waiting import _HeldAnswer
from tests.workspaces.test_plan import NEW

LOST = "its machine has no role"


def amended(notes, note, **more):
    nobody: Any = None
    held = _HeldAnswer(nobody)
    held.answer = {"name": "mine", "state": "launching", "notes": notes}
    held.amend(
        CachedWorkspace(
            msgspec.structs.replace(NEW, **more), State.RUNNING, b"", Idle("t", note=note)
        )
    )
    return json.loads(held._body)


@pytest.mark.parametrize(("notes", "note", "expected"), [
    ([], LOST, [LOST]),
    (["its template names no system"], LOST, ["its template names no system", LOST]),
    ([], None, []),
])  # fmt: skip
def test_what_its_machine_turned_out_to_lack_is_in_the_answer(notes, note, expected):
    assert amended(notes, note)["notes"] == expected


def test_the_answer_is_of_what_it_has_become():
    answer = amended([], None, failure=Failure("X", "broken"))
    assert (answer["state"], answer["failure"]["code"]) == ("running", "X")
