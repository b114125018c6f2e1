"""How the daemon reads the files in the folder of a machine."""

import json
import subprocess
from datetime import UTC, datetime

import pytest
from msgspec import ValidationError

from prism.agent.protocol import INTENT, OBSERVED, SPEC
from prism.errors import Unavailable
from prism.providers.idle_documents import decoded
from prism.providers.local import folder as folders
from prism.providers.local.compute import LocalCompute
from prism.providers.local.folder_setup import change_type
from prism.providers.local.supervision import _wait_until_started
from prism.workspaces.model import Observed

SEEN = {"key": "ws_1", "name": "mine", "phase": "on", "run": 1}


def written(folder, content):
    folder.joinpath(OBSERVED).write_bytes(content)
    return folders.read_report(folder)


def test_report_of_an_older_supervisor_is_read(tmp_path):
    assert written(tmp_path, json.dumps(SEEN).encode()) == SEEN
    (tmp_path / INTENT).write_text('{"run":2,"state":"off"}')
    assert folders.read_intent(tmp_path) == {"run": 2, "state": "off"}


def test_report_of_a_newer_supervisor_is_read_without_unknown_fields(tmp_path):
    newer = SEEN | {"more": [1], "failure": {"code": "X", "message": "y", "more": 2}}
    failure = {"code": "X", "message": "y"}
    assert written(tmp_path, json.dumps(newer).encode()) == SEEN | {"failure": failure}


@pytest.mark.parametrize(
    "wrong",
    [
        *({"phase": "flying"}, {"phase": None}, {"run": "many"}, {"key": None}, {"name": 7}),
        *({"failure": {"code": "X"}}, {"services": {"jupyter": {"port": "none"}}}),
        *({"let_in": "all"}, {"services": [1]}, {"idle": {"since": "never"}}, {"idle": [1]}),
        {"idle": {"acted": {"at": 1.0}}},
    ],
)
def test_report_with_invalid_values_is_ignored(tmp_path, wrong):
    assert written(tmp_path, json.dumps(SEEN | wrong).encode()) is None


@pytest.mark.parametrize("torn", [b"", b'{"key": "ws', b"[1]", b"null", b"[" * 10**5, b"\xff"])
def test_torn_report_or_intent_is_ignored(tmp_path, torn):
    assert written(tmp_path, torn) is None
    (tmp_path / INTENT).write_bytes(torn)
    assert folders.read_intent(tmp_path) is None


def test_idle_verdict_is_decoded_and_an_impossible_time_is_rejected(tmp_path):
    known = {"state": "idle", "since": 60.0, "because": ["nothing is going on"], "profile": "p"}
    seen = written(tmp_path, json.dumps(SEEN | {"idle": known}).encode())
    assert decoded(seen["idle"]).since == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    with pytest.raises(ValidationError):
        decoded({"since": 1e300})


@pytest.mark.parametrize(
    ("spoken", "warned"), [({}, 0), ({"protocol": 1}, 0), ({"protocol": 2}, 1)]
)
def test_survey_warns_about_a_supervisor_with_a_newer_protocol(tmp_path, caplog, spoken, warned):
    machine = tmp_path / f"local-{'0' * 17}"
    machine.mkdir()
    written(machine, json.dumps(SEEN | {"phase": "off"} | spoken).encode())
    [observed] = LocalCompute(tmp_path).survey()
    assert observed.observed is Observed.OFF, "the known fields of the report are used"
    assert len(caplog.records) == warned


def test_supervisor_that_ends_before_it_has_a_log_is_reported(tmp_path):
    process = subprocess.Popen(["/bin/sh", "-c", "exit 9"])
    with pytest.raises(Unavailable, match="does not start: it ended with exit code 9"):
        _wait_until_started(tmp_path, process)


def test_change_of_a_damaged_spec_is_unavailable(tmp_path):
    (tmp_path / SPEC).write_bytes(b'{"key"')
    with pytest.raises(Unavailable, match=r"order\.json cannot be read"):
        change_type(tmp_path, "t3.large")
