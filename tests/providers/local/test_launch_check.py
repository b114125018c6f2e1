"""What a launch on this computer is told before anything is made or downloaded."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from prism.agent.protocol import IsolationReport
from prism.agent.sandbox import identity
from prism.providers.local import launch_check, registry_check
from prism.providers.local.launch_check import IsolationResult, LaunchCheck, isolation_notes
from prism.workspaces.ports import ProviderRefused
from tests.attacks.index import Index
from tests.project.home import Home
from tests.providers.local.test_life import environment
from tests.providers.local.test_without_sandbox import without_bubblewrap, without_capabilities
from tests.waiting import eventually

ROOT = Path(__file__).parents[3]
STRONG: IsolationReport = {
    "sandbox": "bubblewrap",
    "user": 1879048200,
    "is_shared": False,
    "kept": {"capabilities": True, "namespaces": True, "filter": True},
    "processes": 4096,
    "network": "own",
    "unlimited": "",
}
CLOSED = "http://127.0.0.1:9/simple"


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def check(tmp_path, monkeypatch):
    """A check whose trial has this result, which a test changes, and counts its trials."""
    clock = Clock()
    check = LaunchCheck(tmp_path, {}, clock)
    check.clock, check.answer, check.trials = clock, IsolationResult(0, STRONG), []  # type: ignore[attr-defined]

    def attempt():
        check.trials.append(clock.now)  # type: ignore[attr-defined]
        report, refusal = check.answer.report, check.answer.refusal  # type: ignore[attr-defined]
        return IsolationResult(clock.now, report, refusal)

    monkeypatch.setattr(check, "_try", attempt)
    yield check
    check.stop()


def test_strong_isolation_has_no_notes():
    assert isolation_notes(STRONG) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sandbox": "none: bubblewrap is not installed"}, "no sandbox (bubblewrap is not inst"),
        ({"sandbox": "none: why"}, "each is a user of its own"),
        ({"sandbox": "none: why", "user": os.geteuid()}, "they run as you"),
        (
            {"network": "shared: `pasta` is not installed"},
            "network, so they reach the metadata service of a cloud (`pasta` is not installed)",
        ),
        ({"unfiltered": "no module"}, "not filtered, so they reach the metadata service of a"),
        ({"is_shared": True}, "share one user id"),
        ({"unlimited": "no controller"}, "memory of workspaces is not limited here: no contr"),
    ],
)
def test_weaker_isolation_is_a_note_with_the_reason(changes, words):
    [note] = isolation_notes({**STRONG, **changes})
    assert words in note


def test_weaker_isolation_is_said_once_per_home_and_again_when_it_changes(check):
    check.answer = IsolationResult(0, {**STRONG, "unlimited": "why"})
    assert len(check.notes(packages=False)) == 1
    assert len(check.notes(packages=False)) == 1, "a plan alone ends it"
    check.launched()
    assert check.notes(packages=False) == ()
    check._isolation = None
    check.answer = IsolationResult(0, {**STRONG, "unlimited": "another"})
    assert len(check.notes(packages=False)) == 1


def test_refused_isolation_refuses_the_launch_and_is_tried_again_soon(check):
    check.answer = IsolationResult(0, refusal="root lacks CAP_SETUID here")
    for _ in range(2):
        with pytest.raises(ProviderRefused, match="No workspace can start here: root lacks CAP_S"):
            check.notes(packages=False)
    assert len(check.trials) == 1
    check.answer, check.clock.now = IsolationResult(0, STRONG), 6.0
    assert check.notes(packages=False) == ()


def test_isolation_is_tried_again_in_the_background_after_some_minutes(check):
    check.notes(packages=False)
    check.clock.now = 599.0
    check.notes(packages=False)
    assert check.trials == [0.0]
    check.clock.now = 601.0
    check.notes(packages=False)
    assert eventually(lambda: check.trials == [0.0, 601.0])


def test_full_disk_refuses_the_launch_with_what_is_left(check, monkeypatch):
    monkeypatch.setattr(launch_check, "_free_bytes", lambda _: 100 << 20)
    assert check.notes(packages=False) == ()
    with pytest.raises(ProviderRefused, match=r"100 MiB left .* a workspace needs 256") as refused:
        check.notes(packages=True)
    assert "prism clean" in refused.value.remediation
    monkeypatch.setattr(launch_check, "_free_bytes", lambda _: 500 << 20)
    assert ["only 500 MiB are left" in note for note in check.notes(packages=True)] == [True]


def test_missing_python_refuses_the_launch(check, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/gone/python")
    with pytest.raises(ProviderRefused, match="The Python of Prism is gone"):
        check.notes(packages=False)


def test_unreachable_registry_refuses_the_first_launch_of_a_home_without_packages(
    check, monkeypatch
):
    monkeypatch.setattr(registry_check, "WAIT_SECONDS", 120)
    monkeypatch.setenv("UV_DEFAULT_INDEX", CLOSED)
    assert check.notes(packages=False) == ()
    packages = check._home / "cache" / "wheels" / "archive-v0"
    for _ in range(2):
        with pytest.raises(ProviderRefused, match=r"cannot be downloaded here: .*refused"):
            check.notes(packages=True)
        packages.mkdir(parents=True, exist_ok=True)  # by an installation that failed
    (packages / "UlPJpFHm5UpWcBmA").mkdir()
    assert check.notes(packages=True) == (), "packages are here"


def test_registry_that_answers_is_asked_once_in_ten_minutes(check, monkeypatch):
    index = Index()
    try:
        index.wheel("pip", {"pip.py": ""})
        monkeypatch.setattr(registry_check, "WAIT_SECONDS", 120)
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert check.notes(packages=True) == ()
    finally:
        index.close()
    check.clock.now = 599.0
    assert check.notes(packages=True) == ()
    check.clock.now = 601.0
    with pytest.raises(ProviderRefused, match="Packages cannot be downloaded here: "):
        check.notes(packages=True)


def test_silent_registry_delays_a_launch_for_a_moment_and_refuses_nothing(check, monkeypatch):
    monkeypatch.setattr(registry_check, "WAIT_SECONDS", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv(
            "UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.getsockname()[1]}/simple"
        )
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert check.notes(packages=True) == ()
        process = eventually(lambda: check._registry._process)
        check.stop()
        assert eventually(lambda: process.poll() is not None)
        assert eventually(lambda: check._registry._running is None)
    assert check._registry.refusal() == ""


def test_plan_of_a_new_home_says_that_packages_cannot_be_downloaded(tmp_path):
    home = Home(tmp_path / "home")
    try:
        with home.run_daemon(UV_DEFAULT_INDEX=CLOSED):
            line = ("launch", "Data Science (pip)", "mine", "--dry-run")
            stderr = str(eventually(lambda: home.cli(*line).stderr.partition("error: ")[2]))
            assert "Packages cannot be downloaded here: " in stderr
            assert "prism doctor" in stderr
            assert home.states() == []
    finally:
        home.clear()


def said_by_a_real_check(tmp_path, lent=None):
    """The notes of a real trial, or why it refuses, where `lent` starts it."""
    program = (
        "import sys; from pathlib import Path\n"
        "from prism.providers.local import launch_check\n"
        "from prism.providers.local.launch_check import LaunchCheck, ProviderRefused\n"
        "launch_check.PROBE_SECONDS = 120\n"
        "try:\n    print(*LaunchCheck(Path(sys.argv[1]), {}).notes(packages=False), sep='\\n')\n"
        "except ProviderRefused as why:\n    print('refused:', why.message)\n"
    )
    line = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(
        lent(*line) if lent else line,
        env=environment(Path.home()),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == []
    return done.stdout


@pytest.mark.skipif(not identity.is_privileged(), reason="only root can take rights")
def test_real_trial_says_what_root_lacks(tmp_path):
    def container(*line):
        return without_capabilities(*line, names=("sys_admin", "setuid"))

    assert "no sandbox (bubblewrap is not installed)" in said_by_a_real_check(
        tmp_path, without_bubblewrap
    )
    assert "refused: No workspace can start here:" in (
        refused := said_by_a_real_check(tmp_path, container)
    )
    assert "root lacks CAP_SETUID" in refused


@pytest.mark.needs("bwrap")
def test_real_trial_finds_the_sandbox(tmp_path):
    assert "no sandbox" not in said_by_a_real_check(tmp_path)
