"""The sandbox probe reports private files that are visible, and why a sandbox cannot start."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from prism.agent.protocol import SandboxProbe
from prism.agent.sandbox import bubblewrap, sandbox_probe
from prism.agent.sandbox.sandbox_layers import layers
from prism.providers.local.sandbox_paths import reachable

BWRAP = bubblewrap.bubblewrap()
pytestmark = pytest.mark.needs("bwrap")


@pytest.fixture
def home(monkeypatch):
    """A user's home in a folder that every sandbox shows, with Prism's home and a Python in it."""
    if not os.access("/opt", os.W_OK):
        pytest.skip("only who may write to /opt can put a home there")
    with tempfile.TemporaryDirectory(prefix="prism-", dir="/opt") as name:
        for path in (".ssh", ".prism/ssh", "python/bin"):
            (Path(name) / path).mkdir(parents=True)
        monkeypatch.setenv("HOME", name)
        yield name


def run_probe(capsys, home, private=(), bwrap=BWRAP):
    """The exit code and the output of the probe."""
    seen = [f"{home}/python", *reachable()]
    probe: SandboxProbe = {
        "bwrap": bwrap,
        "home": f"{home}/.prism",
        "private": private,
        "reachable": seen,
    }
    code = sandbox_probe.main(probe)
    return code, capsys.readouterr().out.split()


def test_probe_reports_nothing_when_everything_private_is_hidden(capsys, home):
    assert run_probe(capsys, home) == (0, [])


def test_probe_reports_visible_private_folders(capsys, home, monkeypatch):
    monkeypatch.setattr(
        bubblewrap, "layers", lambda system, visible, _: layers(system, visible, [])
    )
    assert run_probe(capsys, home) == (
        3,
        [f"{home}/{text}" for text in (".prism", ".prism/ssh", ".ssh")],
    )


def test_probe_reports_a_home_that_is_a_system_folder(capsys, home, monkeypatch):
    monkeypatch.setattr(sandbox_probe, "homes", lambda: [home, "/etc"])
    code, seen = run_probe(capsys, home)
    assert (code, "/etc/passwd" in seen) == (3, True)
    assert not any(event.startswith(home) for event in seen)


def test_probe_reports_a_private_file_in_a_system_folder(capsys, home):
    assert run_probe(capsys, home, ["/etc/hosts", "/nonexistent/x"]) == (3, ["/etc/hosts"])


def test_probe_reports_a_private_file_in_a_reachable_folder(capsys, home):
    (key := Path(home, "python", "key")).touch()
    assert run_probe(capsys, home, [str(key)]) == (3, [str(key)])


def test_probe_fails_and_prints_the_reason_when_bubblewrap_cannot_run(capsys, home):
    code, output = run_probe(capsys, home, bwrap=shutil.which("false"))
    assert (code, output) == (1, [])
    code, output = run_probe(capsys, home, bwrap="/nonexistent/bwrap")
    assert (code, "file" in output) == (1, True)
    assert layers(bubblewrap.SYSTEM_FOLDERS, [], [home])[0].path == home


def test_trial_uses_the_copy_of_a_home_or_makes_one_that_is_removed(tmp_path):
    trials = [tmp_path / "first", tmp_path / "second"]
    for trial in trials:
        trial.mkdir()
    with sandbox_probe.etc_for_trial(str(tmp_path), trials[0]):
        copy = (trials[0] / "etc-copy").resolve()
        assert copy.is_dir()
        bubblewrap.refresh_etc(trials[0])
        assert (trials[0] / "etc-copy" / "tree").is_dir()
    assert not copy.exists()
    (tmp_path / "etc-copy").mkdir()
    with sandbox_probe.etc_for_trial(str(tmp_path), trials[1]):
        assert (trials[1] / "etc-copy").samefile(tmp_path / "etc-copy")
    assert (tmp_path / "etc-copy").is_dir()
