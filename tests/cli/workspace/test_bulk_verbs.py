"""One verb for several workspaces."""

import json

import pytest

from tests.cli.shown import changed, workspace
from tests.client.scripted import problem

STATES = {"ada": "running", "alan": "stopped", "bob": "running", "eve": "terminated"}


@pytest.fixture
def three_workspaces(server):
    """Two running workspaces, a stopped one, and a terminated one."""
    server.on("GET /instances", [workspace(name, state) for name, state in STATES.items()])
    for name in STATES:
        server.on(f"POST /instances/{name}/stop", changed("running", "stopping", name=name))
        server.on(f"GET /instances/{name}", workspace(name, "stopped"))
        gone = {"name": name, "state": "terminating", "message": "m"}
        server.on(f"POST /instances/{name}/terminate", gone)
    return server


def requested_for(server, verb):
    """The workspaces for which a verb was requested."""
    return [
        request.path.split("/")[2] for request in server.asked if request.path.endswith(f"/{verb}")
    ]


def test_bulk_verb_sends_all_requests_before_it_waits(prism, three_workspaces):
    done = prism("stop", "bob", "ada", "bob")
    assert (done.returncode, done.stdout) == (0, "bob is stopped\nada is stopped\n")
    lines = [f"{request.method} {request.path}" for request in three_workspaces.asked]
    assert lines[:2] == ["POST /instances/bob/stop", "POST /instances/ada/stop"]


def test_bulk_verb_reports_a_failed_workspace_and_completes_the_others(prism, three_workspaces):
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


def test_hint_of_a_refused_terminate_has_every_name_and_option(prism, three_workspaces):
    done = prism("terminate", "ada", "bob", "--backup")
    assert (done.returncode, three_workspaces.asked) == (1, [])
    assert "`prism terminate ada bob --backup --yes`" in done.stderr


@pytest.mark.parametrize("words", [[], ["ada", "--all"], ["ada", "--project", "p"]])
def test_bulk_verb_requires_either_names_or_all_or_project(prism, three_workspaces, words):
    done = prism("stop", *words)
    assert (done.returncode, three_workspaces.asked) == (2, [])
    assert "give either names of workspaces, or --all, or --project" in done.stderr


def test_bulk_verb_with_all_requires_yes_and_skips_unaffected_workspaces(prism, three_workspaces):
    done = prism("stop", "--all")
    assert (done.returncode, requested_for(three_workspaces, "stop")) == (1, [])
    assert "2 workspaces: ada, bob" in done.stderr
    assert prism("stop", "--all", "--yes").returncode == 0
    assert requested_for(three_workspaces, "stop") == ["ada", "bob"]
    three_workspaces.on("GET /instances?project=p", [workspace("alan", "stopped")])
    done = prism("stop", "--project", "p", "--yes")
    assert (done.returncode, "no workspace to stop" in done.stderr) == (0, True)


def test_stop_all_includes_workspaces_that_are_restarting(prism, three_workspaces):
    listed = [workspace("alan", "stopped"), workspace("ada", "stopping") | {"restarting": True}]
    three_workspaces.on("GET /instances", listed)
    assert prism("stop", "--all", "--yes").returncode == 0
    assert requested_for(three_workspaces, "stop") == ["ada"]


def test_bulk_terminate_on_a_terminal_must_be_confirmed_with_the_count(
    run_on_terminal, three_workspaces
):
    code, screen = run_on_terminal("stop", "--all", "--no-wait", keys="yes\n")
    assert (code, requested_for(three_workspaces, "stop")) == (0, ["ada", "bob"]), screen
    code, _ = run_on_terminal("terminate", "--all", "--no-wait", keys="yes\n")
    assert (code, requested_for(three_workspaces, "terminate")) == (1, [])
    code, screen = run_on_terminal("terminate", "--all", "--no-wait", keys="terminate 3\n")
    assert (code, requested_for(three_workspaces, "terminate")) == (0, ["ada", "alan", "bob"]), (
        screen
    )


def test_bulk_verb_prints_one_error_without_a_daemon(prism, home):
    done = prism("stop", "ada", "bob", PRISM_URL="http://127.0.0.1:9")
    assert done.returncode == 3
    assert done.stderr.count("error:") == 1


def test_restart_fails_if_the_workspace_reports_a_failure(prism, server):
    server.on("POST /instances/ada/restart", changed("running", "stopping", name="ada"))
    server.on("GET /instances/ada", workspace("ada", "running"))
    done = prism("restart", "ada")
    assert (done.returncode, done.stdout) == (0, "ada is running\n")
    failure = {"code": "UNAVAILABLE", "message": "a spot machine cannot be stopped"}
    server.on("GET /instances/ada", workspace("ada", "running", failure=failure))
    done = prism("restart", "ada")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ada was not restarted: a spot machine cannot be stopped" in done.stderr
