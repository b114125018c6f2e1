"""A trial runs in a fork; its output and its exit code are returned."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from prism.agent.sandbox import isolation, sandbox_probe
from prism.cli.checks import trials
from prism.cli.checks.trials import ForkedTrial, ProgramResult


def prints_words(argument):
    sys.stdout.write(argument["words"])
    return argument["code"]


def raises_error(argument):
    raise OSError(28, "No space left", argument)


def prints_from_a_child(argument):
    subprocess.run(["/bin/sh", "-c", "echo inside; echo why >&2"], check=True)
    return 4


def kills_itself(argument):
    os.kill(os.getpid(), signal.SIGKILL)


def never_ends(argument):
    signal.pause()


@pytest.mark.parametrize(
    ("main", "argument", "ran"),
    [
        (prints_words, {"words": " fine\n", "code": 0}, ProgramResult(0, "fine")),
        (prints_words, {"words": "x" * 200_000, "code": 3}, ProgramResult(3, "x" * 200_000)),
        (raises_error, "/home", ProgramResult(1, "OSError: [Errno 28] No space left: '/home'")),
        (prints_from_a_child, None, ProgramResult(4, "inside\nwhy")),
        (kills_itself, None, ProgramResult(-signal.SIGKILL, "")),
    ],
)
def test_trial_returns_output_and_exit_code(main, argument, ran):
    assert ForkedTrial(main, argument).result() == ran


def test_trial_is_killed_after_the_time_limit(monkeypatch):
    monkeypatch.setattr(trials, "TRIAL_TIMEOUT", 0.0)
    trial = ForkedTrial(never_ends, None)
    ran = trial.result()
    assert (ran.code, "did not end" in ran.output) == (None, True)
    with pytest.raises(ChildProcessError):
        os.waitpid(trial._pid, 0)


def test_start_trials_starts_only_the_trials_that_apply(monkeypatch, tmp_path):
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


def test_sandbox_trial_receives_settings_and_private_files(monkeypatch, tmp_path):
    requests = {}
    monkeypatch.setattr(trials, "ForkedTrial", lambda main, probe: requests.update(probe))
    environ = {"PRISM_DATABASE_URL": "sqlite:////srv/a%20b.db?mode=rw", "XAUTHORITY": "/k"}
    trials.start_trials(str(tmp_path), environ | {"PRISM_PIDS_MAX": "7"})
    assert requests["told"]["PRISM_PIDS_MAX"] == "7"
    assert requests["private"] == ["/k", "/srv/a b.db"]
    assert requests["home"] == str(tmp_path)
