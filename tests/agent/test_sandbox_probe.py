"""The trial of a sandbox sees what is hidden badly, and says why there is none."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from prism.agent import sandbox, sandbox_probe
from prism.agent.protocol import SandboxProbe
from prism.agent.sandbox_layers import layers
from prism.providers.local.sandbox_paths import reachable

BWRAP = sandbox.bubblewrap()
pytestmark = pytest.mark.skipif(BWRAP is None, reason="there is no bubblewrap here")


@pytest.fixture
def home(monkeypatch):
    """A user's, in a folder that every sandbox shows, with Prism's in it and a Python."""
    if not os.access("/opt", os.W_OK):
        pytest.skip("only who may write to /opt can put a home there")
    with tempfile.TemporaryDirectory(prefix="prism-", dir="/opt") as name:
        for path in (".ssh", ".prism/ssh", "python/bin"):
            (Path(name) / path).mkdir(parents=True)
        monkeypatch.setenv("HOME", name)
        yield name


def tried(capsys, home, private=(), bwrap=BWRAP):
    """How it ended, and what it said."""
    seen = [f"{home}/python", *reachable()]
    probe: SandboxProbe = {
        "bwrap": bwrap,
        "home": f"{home}/.prism",
        "private": private,
        "reachable": seen,
    }
    code = sandbox_probe.main(probe)
    return code, capsys.readouterr().out.split()


def test_nothing_is_seen_but_what_has_to_be_reachable(capsys, home):
    assert tried(capsys, home) == (0, [])


def test_what_is_not_hidden_is_seen(capsys, home, monkeypatch):
    monkeypatch.setattr(sandbox, "layers", lambda system, visible, _: layers(system, visible, []))
    assert tried(capsys, home) == (
        3,
        [f"{home}/{text}" for text in (".prism", ".prism/ssh", ".ssh")],
    )


def test_a_home_that_is_the_systems_own_is_not_hidden_and_that_is_seen(capsys, home, monkeypatch):
    monkeypatch.setattr(sandbox_probe, "homes", lambda: [home, "/etc"])
    code, seen = tried(capsys, home)
    assert (code, "/etc/passwd" in seen) == (3, True)
    assert not any(event.startswith(home) for event in seen)


def test_a_file_in_a_folder_of_the_system_is_seen(capsys, home):
    assert tried(capsys, home, ["/etc/hosts", "/nonexistent/x"]) == (3, ["/etc/hosts"])


def test_a_file_beside_what_has_to_be_reachable_is_seen_and_nothing_else_is_named(capsys, home):
    (key := Path(home, "python", "key")).touch()
    assert tried(capsys, home, [str(key)]) == (3, [str(key)])


def test_where_there_is_no_sandbox_the_reason_is_said(capsys, home):
    code, output = tried(capsys, home, bwrap=shutil.which("false"))
    assert (code, output) == (1, [])
    code, output = tried(capsys, home, bwrap="/nonexistent/bwrap")
    assert (code, "file" in output) == (1, True)
    assert layers(sandbox.SYSTEM, [], [home])[0].path == home
