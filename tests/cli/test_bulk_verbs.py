"""One verb for several workspaces."""

import json

import pytest

from tests.cli.shown import changed, workspace
from tests.client.scripted import problem

STATES = {"ada": "running", "alan": "stopped", "bob": "running", "eve": "terminated"}


@pytest.fixture
def three_workspaces(server):
    """Two that run, one that is stopped, and one that is gone."""
    server.on("GET /instances", [workspace(name, state) for name, state in STATES.items()])
    for name in STATES:
        server.on(f"POST /instances/{name}/stop", changed("running", "stopping", name=name))
        server.on(f"GET /instances/{name}", workspace(name, "stopped"))
        gone = {"name": name, "state": "terminating", "message": "m"}
        server.on(f"POST /instances/{name}/terminate", gone)
    return server


def asked(server, verb):
    """Whom a verb was asked for."""
    return [
        request.path.split("/")[2] for request in server.asked if request.path.endswith(f"/{verb}")
    ]


def test_all_are_asked_before_the_first_is_waited_for(prism, three_workspaces):
    done = prism("stop", "bob", "ada", "bob")
    assert (done.returncode, done.stdout) == (0, "bob is stopped\nada is stopped\n")
    lines = [f"{request.method} {request.path}" for request in three_workspaces.asked]
    assert lines[:2] == ["POST /instances/bob/stop", "POST /instances/ada/stop"]


def test_one_that_fails_is_named_and_the_others_are_done(prism, three_workspaces):
    three_workspaces.on(
        "POST /instances/ada/stop", problem(409, "INVALID_STATE", "ada is stopping")
    )
    done = prism("stop", "ada", "bob")
    assert (done.returncode, done.stdout) == (1, "bob is stopped\n")
    assert "error: ada is stopping" in done.stderr
    assert "error: stop failed for 1 of 2: ada" in done.stderr
    first, second = json.loads(prism("stop", "ada", "bob", "--json").stdout)
    assert (first["name"], first["error"]["code"]) == ("ada", "INVALID_STATE")
    assert (second["name"], second["state"]) == ("bob", "stopped")


@pytest.mark.parametrize("words", [[], ["ada", "--all"], ["ada", "--project", "p"]])
def test_either_which_or_all(prism, three_workspaces, words):
    done = prism("stop", *words)
    assert (done.returncode, three_workspaces.asked) == (2, [])
    assert "give either names of workspaces, or --all, or --project" in done.stderr


def test_all_are_those_that_it_changes_and_only_when_told(prism, three_workspaces):
    done = prism("stop", "--all")
    assert (done.returncode, asked(three_workspaces, "stop")) == (1, [])
    assert "2 workspaces: ada, bob" in done.stderr
    assert prism("stop", "--all", "--yes").returncode == 0
    assert asked(three_workspaces, "stop") == ["ada", "bob"]
    three_workspaces.on("GET /instances?project=p", [workspace("alan", "stopped")])
    done = prism("stop", "--project", "p", "--yes")
    assert (done.returncode, "no workspace to stop" in done.stderr) == (0, True)


def test_all_that_stop_are_also_those_that_a_restart_would_bring_up_again(prism, three_workspaces):
    listed = [workspace("alan", "stopped"), workspace("ada", "stopping") | {"restarting": True}]
    three_workspaces.on("GET /instances", listed)
    assert prism("stop", "--all", "--yes").returncode == 0
    assert asked(three_workspaces, "stop") == ["ada"]


def test_on_a_terminal_it_is_asked_and_many_are_destroyed_by_their_number(
    run_on_terminal, three_workspaces
):
    code, screen = run_on_terminal("stop", "--all", "--no-wait", keys="yes\n")
    assert (code, asked(three_workspaces, "stop")) == (0, ["ada", "bob"]), screen
    code, _ = run_on_terminal("terminate", "--all", "--no-wait", keys="yes\n")
    assert (code, asked(three_workspaces, "terminate")) == (1, [])
    code, screen = run_on_terminal("terminate", "--all", "--no-wait", keys="terminate 3\n")
    assert (code, asked(three_workspaces, "terminate")) == (0, ["ada", "alan", "bob"]), screen


def test_without_a_daemon_it_says_so_once(prism, home):
    done = prism("stop", "ada", "bob", PRISM_URL="http://127.0.0.1:9")
    assert done.returncode == 3
    assert done.stderr.count("error:") == 1


def test_a_restart_says_when_it_was_none(prism, server):
    server.on("POST /instances/ada/restart", changed("running", "stopping", name="ada"))
    server.on("GET /instances/ada", workspace("ada", "running"))
    done = prism("restart", "ada")
    assert (done.returncode, done.stdout) == (0, "ada is running\n")
    failure = {"code": "UNAVAILABLE", "message": "a spot machine cannot be stopped"}
    server.on("GET /instances/ada", workspace("ada", "running", failure=failure))
    done = prism("restart", "ada")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ada was not restarted: a spot machine cannot be stopped" in done.stderr
