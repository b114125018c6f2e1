"""A trial runs in a fork, and its words and its end are told, whatever they are."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from prism.agent import isolation, sandbox_probe
from prism.cli.checks import trials
from prism.cli.checks.trials import ForkedTrial, ProgramResult


def says(argument):
    sys.stdout.write(argument["words"])
    return argument["code"]


def fails(argument):
    raise OSError(28, "No space left", argument)


def leaves(argument):
    subprocess.run(["/bin/sh", "-c", "echo inside; echo why >&2"], check=True)
    return 4


def dies(argument):
    os.kill(os.getpid(), signal.SIGKILL)


def stays(argument):
    signal.pause()


@pytest.mark.parametrize(
    ("main", "argument", "ran"),
    [
        (says, {"words": " fine\n", "code": 0}, ProgramResult(0, "fine")),
        (says, {"words": "x" * 200_000, "code": 3}, ProgramResult(3, "x" * 200_000)),
        (fails, "/home", ProgramResult(1, "OSError: [Errno 28] No space left: '/home'")),
        (leaves, None, ProgramResult(4, "inside\nwhy")),
        (dies, None, ProgramResult(-signal.SIGKILL, "")),
    ],
)
def test_what_a_trial_says_and_how_it_ends(main, argument, ran):
    assert ForkedTrial(main, argument).result() == ran


def test_a_trial_that_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr(trials, "PATIENCE", 0.0)
    trial = ForkedTrial(stays, None)
    ran = trial.result()
    assert (ran.code, "did not end" in ran.output) == (None, True)
    with pytest.raises(ChildProcessError):
        os.waitpid(trial._pid, 0)


def test_all_are_begun_at_once_and_without_bubblewrap_only_the_others(monkeypatch, tmp_path):
    monkeypatch.setattr(isolation, "main", lambda argument: 5)
    monkeypatch.setattr(sandbox_probe, "main", lambda argument: 6)
    environ = {"PRISM_DATABASE_URL": "sqlite:////srv/a%20b.db?mode=rw", "XAUTHORITY": "/k"}
    begun = trials.start_trials(str(tmp_path), environ)
    assert {name: trial.result().code for name, trial in begun.items()} == {
        "isolation": 5,
        "bubblewrap": 6,
    }
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (tmp_path / "state.db").touch()
    begun = trials.start_trials(str(tmp_path), {})
    ended = {name: trial.result() for name, trial in begun.items()}
    assert ended == {"isolation": ProgramResult(5, ""), "database": ProgramResult(0, "ok")}
    monkeypatch.setattr(sys, "platform", "darwin")
    begun = trials.start_trials(str(tmp_path), {})
    assert {name: trial.result() for name, trial in begun.items()} == {
        "database": ProgramResult(0, "ok")
    }


def test_a_trial_is_told_the_settings_and_the_files_that_are_private(monkeypatch, tmp_path):
    requests = {}
    monkeypatch.setattr(trials, "ForkedTrial", lambda main, probe: requests.update(probe))
    environ = {"PRISM_DATABASE_URL": "sqlite:////srv/a%20b.db?mode=rw", "XAUTHORITY": "/k"}
    trials.start_trials(str(tmp_path), environ | {"PRISM_PIDS_MAX": "7"})
    assert requests["told"]["PRISM_PIDS_MAX"] == "7"
    assert requests["private"] == ["/k", "/srv/a b.db"]
    assert requests["home"] == str(tmp_path)
