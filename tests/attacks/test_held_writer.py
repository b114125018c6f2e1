"""Attacks by a member on the only writer of the database, which everybody waits for.

A request with an `Idempotency-Key` holds it while its handler runs. A handler that waits for a
machine would let a workspace stop all changes of all people.
"""

import threading

import pytest

from tests.attacks.test_removed_members import settle

KEY = {"Idempotency-Key": "once"}


class SlowFiles:
    """Files of a machine that answers nothing until another person has made a change."""

    asleep = True

    def __init__(self, team):
        self.team, self.statuses = team, []

    def make_folder(self, id, path):
        self._wait()

    def rename(self, id, path, to):
        self._wait()

    def _wait(self):
        def change():
            body = {"name": f"Made meanwhile {len(self.statuses)}"}
            self.statuses.append(self.team("operator", "POST", "projects", json=body).status_code)

        other = threading.Thread(target=change)
        other.start()
        other.join(20)


@pytest.mark.parametrize(
    ("verb", "body"), [("folder", {"path": "a"}), ("rename", {"path": "a", "to": "b"})]
)
def test_request_for_files_of_a_slow_machine_does_not_hold_up_others(
    team, monkeypatch, verb, body
):
    assert team.launch("member", "mine").status_code == 201
    settle(team)
    slow = SlowFiles(team)
    location = team.daemon.files._read_model.pages.named("mine").workspace.location
    monkeypatch.setattr(team.daemon.files, "_files", {location: slow})
    answer = team("member", "POST", f"instances/mine/files/{verb}", json=body, headers=KEY)
    assert answer.status_code in (200, 201), answer.text
    assert slow.statuses == [201]
