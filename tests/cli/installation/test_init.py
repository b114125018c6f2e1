"""`prism init`: by questions and by options."""

import contextlib
import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from prism.env_file import read_env_file, update_env_file, with_changes
from tests.cli.shown import launched, workspace
from tests.client.scripted import problem

LOCAL = {"name": "local", "provider": "local", "active": True}
LAB = {"name": "lab", "provider": "aws", "active": False}
TEMPLATES = [{"name": "Plain Shell"}, {"name": "Data Science (pip)"}, {"name": "Rocky"}]
QUIET = {"GIT_CONFIG_GLOBAL": "/nonexistent", "PRISM_PORT": "0"}


@pytest.fixture
def ready_server(server):
    """A daemon that answers all requests of `prism init`."""
    server.on("GET /daemon/status", problem(503, "UNAVAILABLE", "no matter"))
    server.on("GET /profiles", [LOCAL, LAB]).on("GET /templates", TEMPLATES)
    server.on("POST /profiles/switch", LAB)
    for name, runs in (("Plain%20Shell", True), ("Rocky", False)):
        server.on(f"GET /templates/{name}/info", {"runs_locally": runs})
    server.on("GET /templates/Data%20Science%20%28pip%29/info", {"runs_locally": True})
    server.on("POST /instances/launch", (201, launched(name="first")))
    server.on("GET /instances/first", workspace("first"))
    return server


def posts(server):
    return [(request.path, request.body) for request in server.asked if request.method == "POST"]


def test_init_fails_without_a_terminal_and_without_options(prism, ready_server, home):
    done = prism("init", **QUIET)
    assert (done.returncode, "There is no terminal to ask on" in done.stderr) == (1, True)
    assert not (home / "env").exists()


def test_init_with_options_switches_the_profile_and_launches(prism, ready_server, home):
    done = prism(
        "init", "--profile", "lab", "--template", "Plain Shell", "--name", "first", **QUIET
    )
    assert done.returncode == 0, done.stderr
    order = {"name": "first", "template": "Plain Shell"}
    assert posts(ready_server) == [
        ("/profiles/switch", {"profile_name": "lab"}),
        ("/instances/launch", order),
    ]
    assert "first is running" in done.stderr
    assert not (home / "env").exists(), "no setting was given"


def test_init_json_prints_settings_profile_and_workspace(prism, ready_server):
    done = prism(
        "init", "--yes", "--template", "Plain Shell", "--name", "first", "--json", **QUIET
    )
    assert json.loads(done.stdout) == {"settings": {}, "profile": "local", "workspace": "first"}


def test_init_accepts_an_existing_workspace_of_that_name(prism, ready_server):
    ready_server.on("POST /instances/launch", problem(409, "NAME_TAKEN", "taken"))
    done = prism("init", "--template", "Plain Shell", "--name", "first", **QUIET)
    assert (done.returncode, "A workspace first already exists" in done.stderr) == (0, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--user", "ada"], "ada is not a mail address"),
        (["--port", "http"], "PRISM_PORT is 'http'"),
    ],
)
def test_init_does_not_write_invalid_settings(prism, ready_server, home, words, message):
    done = prism("init", *words, **QUIET | {"PRISM_PORT": ""})
    assert (done.returncode, message in done.stderr) == (1, True)
    assert not (home / "env").exists()


def test_init_on_a_terminal_asks_again_after_invalid_answers(run_on_terminal, ready_server):
    ready_server.on("GET /instances/quickstart", workspace("quickstart"))
    keys = "ada\nada@example.org\nn\nn\n9\n2\ny\n1\nfirst\n"
    code, screen = run_on_terminal("init", keys=keys, **QUIET)
    assert code == 0, screen
    assert "ada is not a mail address" in screen
    assert "There is no `9` here" in screen
    assert "Rocky" not in screen, "the template does not run on this computer"
    order = {"name": "first", "template": "Data Science (pip)"}
    assert posts(ready_server) == [
        ("/profiles/switch", {"profile_name": "lab"}),
        ("/instances/launch", order),
    ]


def test_init_applies_only_confirmed_changes(run_on_terminal, ready_server, home):
    code, screen = run_on_terminal("init", keys="ada@example.org\nn\nn\n\nn\n", **QUIET)
    assert (code, "PRISM_USER=ada@example.org" in screen) == (0, True), screen
    assert not (home / "env").exists()
    assert posts(ready_server) == []


def test_init_updates_the_env_file_and_restarts_a_real_daemon(prism, home):
    (home / "env").write_text("# mine\nPRISM_USER=old@example.org\nPRISM_PORT=0\n")
    quiet = {"PRISM_PORT": "", "GIT_CONFIG_GLOBAL": "/nonexistent", "HOME": str(home)}
    try:
        assert prism("daemon", "start", **quiet).returncode == 0
        done = prism("init", "--user", "ada@example.org", "--prices", "aws", **quiet)
        assert done.returncode == 0, done.stderr
        assert "PRISM_USER=ada@example.org, was old@example.org" in done.stderr
        assert "Restarting the daemon" in done.stderr
        status = json.loads(prism("daemon", "status", "--json", **quiet).stdout)
        assert status["user"] == "ada@example.org"
    finally:
        prism("daemon", "stop", **quiet)
    settings_text = "# mine\nPRISM_USER=ada@example.org\nPRISM_PORT=0\nPRISM_LOCAL_PRICES=aws\n"
    assert (home / "env").read_text() == settings_text
    assert stat.S_IMODE((home / "env").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ("", {"A": "1"}, "A=1\n"),
        ("A=0", {"A": "1"}, "A=1\n"),
        ("# a\n\nexport A='0'\nB=2\nA=3\n", {"A": "1"}, "# a\n\nA=1\nB=2\nA=1\n"),
        ("nonsense\nB=2\n", {"A": "a b", "B": ""}, "nonsense\nB=\nA='a b'\n"),
    ],
)
def test_env_file_changes_leave_other_lines_unchanged(before, changes, after):
    assert with_changes(before, changes) == after


def test_commands_that_write_settings_at_once_lose_none(tmp_path, monkeypatch):
    together, replace = threading.Barrier(2), os.replace

    def replace_together(draft, path):
        with contextlib.suppress(threading.BrokenBarrierError):  # the other waits for this write
            together.wait(timeout=0.2)  # both have written their drafts
        replace(draft, path)

    monkeypatch.setattr(os, "replace", replace_together)
    with ThreadPoolExecutor(2) as pool:
        settings = [{"PRISM_USER": "1"}, {"PRISM_PORT": "1"}]
        written = pool.map(lambda changes: update_env_file(f"{tmp_path}", changes), settings)
        assert {*written} == {f"{tmp_path}/env"}
    assert read_env_file(f"{tmp_path}") == {"PRISM_USER": "1", "PRISM_PORT": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["env"]
