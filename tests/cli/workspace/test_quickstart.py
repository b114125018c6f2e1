"""`prism quickstart`: from any state of the workspace to the address of its JupyterLab."""

import json

import pytest

from tests.cli.shown import CONNECTION, changed, launched, workspace
from tests.client.scripted import problem

NOT_THERE = problem(404, "INSTANCE_NOT_FOUND", "no")
LAB = "http://127.0.0.1:8888/lab?token=t%2Fk"


@pytest.fixture
def script_workspace(server):
    """A function that scripts the answers about the quickstart workspace, one per request."""

    def script(*looks, name="quickstart"):
        server.on(f"GET /instances/{name}", *looks)
        server.on(f"GET /instances/{name}/connect", CONNECTION)
        server.on("POST /instances/launch", (201, launched(name=name)))
        for verb in ("start", "resume"):
            server.on(f"POST /instances/{name}/{verb}", changed("stopped", "starting"))

    return script


def posts(server):
    return [request.path for request in server.asked if request.method == "POST"]


def test_quickstart_prints_only_the_address_on_stdout(prism, server, script_workspace):
    script_workspace(NOT_THERE, workspace(state="launching", progress=3), workspace())
    done = prism("quickstart")
    assert (done.returncode, done.stdout) == (0, f"{LAB}\n")
    assert "t%2Fk" not in done.stderr
    assert "The web GUI: http://localhost:1/\n" in done.stderr
    [launch] = server.asked_for("POST /instances/launch")
    assert launch.body == {"name": "quickstart", "template": "Data Science (pip)"}


@pytest.mark.parametrize(
    ("looks", "requests"),
    [
        (["running"], []),
        (["launching", "launching", "running"], []),
        (["stopped", "starting", "running"], ["/instances/quickstart/start"]),
        (["failed", "starting", "running"], ["/instances/quickstart/start"]),
        (["hibernated", "resuming", "running"], ["/instances/quickstart/resume"]),
        (["stopping", "stopping", "stopped", "running"], ["/instances/quickstart/start"]),
        (["hibernating", "hibernated", "running"], ["/instances/quickstart/resume"]),
        (["terminating", "terminated", "running"], ["/instances/launch"]),
        (["terminated", "launching", "running"], ["/instances/launch"]),
    ],
    ids=lambda it: "-".join(it),
)
def test_quickstart_starts_resumes_or_launches_depending_on_the_state(
    prism, server, script_workspace, looks, requests
):
    script_workspace(*(workspace("quickstart", state) for state in looks))
    done = prism("quickstart")
    assert (done.returncode, done.stdout) == (0, f"{LAB}\n")
    assert posts(server) == requests


def test_quickstart_with_a_name_prints_json(prism, server, script_workspace):
    script_workspace(NOT_THERE, workspace("lab"), name="lab")
    workspace_json = json.loads(prism("quickstart", "lab", "--json").stdout)
    assert workspace_json == {"name": "lab", "service": "jupyter", "url": LAB}


def test_quickstart_no_wait_ends_before_the_workspace_runs(prism, script_workspace):
    script_workspace(NOT_THERE, workspace("quickstart", "launching"))
    assert "on its way" in prism("quickstart", "--no-wait").stdout


def test_quickstart_fails_if_the_workspace_has_no_service(prism, server, script_workspace):
    script_workspace(workspace())
    server.on("GET /instances/quickstart/connect", {"ssh": {}, "services": {}})
    done = prism("quickstart")
    assert (done.returncode, "`prism quickstart NAME`" in done.stderr) == (1, True)


def test_quickstart_on_a_terminal_ends_with_the_address(run_on_terminal, script_workspace):
    script_workspace(NOT_THERE, workspace(state="launching", progress=3), workspace())
    code, screen = run_on_terminal("quickstart")
    assert (code, screen.splitlines()[-1]) == (0, LAB)


def test_quickstart_launches_if_only_another_person_has_that_name(prism, server, script_workspace):
    theirs = workspace(state="stopped") | {"full_name": "quickstart--eve", "owner": "eve@x.org"}
    own = workspace(state="launching") | {"full_name": "quickstart--ada"}
    script_workspace(theirs, own, workspace())
    server.on("GET /instances?owner=me", [])
    done = prism("quickstart")
    assert done.returncode == 0, done.stderr
    assert posts(server) == ["/instances/launch"]


def test_quickstart_launches_if_several_other_people_have_that_name(
    prism, server, script_workspace
):
    several = problem(409, "AMBIGUOUS_NAME", "Several people have a workspace called 'quickstart'")
    script_workspace(several, workspace(state="launching"), workspace())
    done = prism("quickstart")
    assert done.returncode == 0, done.stderr
    assert posts(server) == ["/instances/launch"]


def test_quickstart_starts_ones_own_workspace_of_a_shared_daemon(prism, server, script_workspace):
    own = workspace(state="stopped") | {"full_name": "quickstart--ada"}
    script_workspace(own, workspace(state="starting"), workspace())
    server.on("GET /instances?owner=me", [own])
    assert prism("quickstart").returncode == 0
    assert posts(server) == ["/instances/quickstart/start"]


def test_quickstart_of_a_shared_daemon_shows_the_tunnel_instead_of_a_foreign_address(
    prism, server, script_workspace
):
    """The address of the service is one of the daemon's computer."""
    script_workspace(workspace())
    done = prism("quickstart", PRISM_TOKEN="prism_tok_1.x")
    assert (done.returncode, done.stdout) == (0, "prism tunnel quickstart\n"), done.stderr
    assert "127.0.0.1" not in done.stdout + done.stderr
    assert json.loads(prism("quickstart", "--json", PRISM_TOKEN="prism_tok_1.x").stdout) == {
        "name": "quickstart",
        "service": "jupyter",
        "url": None,
    }
