"""`prism launch`: the request, the wait, and failures."""

import json
from typing import Any

import pytest

from tests.cli.shown import CONNECTION, launched, workspace
from tests.client.scripted import problem
from tests.waiting import eventually

LAUNCH = "POST /instances/launch"

pytestmark = pytest.mark.timeout(60)  # in case a command never ends


def launching(progress, stage):
    return workspace(state="launching", progress=progress, launch_progress=progress, stage=stage)


def test_launch_request_contains_only_the_given_options(prism, server):
    server.on(LAUNCH, (201, launched()))
    assert prism("launch", "Plain Shell", "mine", "--no-wait").stdout == "mine is launching\n"
    assert server.asked[0].body == {"template": "Plain Shell", "name": "mine"}


def test_launch_request_contains_every_option_with_typed_parameters(prism, server):
    types = {"n": "integer", "x": "number", "on": "boolean", "v": "string", "bad": "integer"}
    parameters = {name: {"type": kind} for name, kind in types.items()}
    server.on("GET /templates/shell/info", {"resolved": {"parameters": parameters}})
    server.on(LAUNCH, (201, launched()))
    words = (
        "shell mine --size L --instance-type t3.large --region us-west-2 --spot --project p"
        " --budget b --ttl 8 --param n=4 --param x=0.5 --param on=True --param v=1.10"
        " --param bad=four --param other=a=b --volume v1 --volume v2 --idle-profile gpu"
        " --disk 50 --no-hibernation --no-wait --open-ports"
    )
    assert prism("launch", *words.split()).returncode == 0
    assert server.asked[-1].body == {
        "template": "shell",
        "name": "mine",
        "size": "L",
        "instance_type": "t3.large",
        "region": "us-west-2",
        "spot": True,
        "open_ports": True,
        "project": "p",
        "budget": "b",
        "ttl_hours": 8,
        "volumes": ["v1", "v2"],
        "idle_profile": "gpu",
        "hibernation": False,
        "storage": {"ebs_volume_size": 50},
        "parameters": {
            "n": 4,
            "x": 0.5,
            "on": True,
            "v": "1.10",
            "bad": "four",
            "other": "a=b",
        },
    }


@pytest.mark.parametrize("parameter", ["cores", "=4"])
def test_launch_rejects_a_parameter_without_name_or_value(prism, server, parameter):
    server.on("GET /templates/shell/info", {"resolved": {"parameters": {}}})
    done = prism("launch", "shell", "mine", "--param", parameter)
    assert (done.returncode, "is not K=V" in done.stderr) == (2, True)
    assert not server.asked_for(LAUNCH)


def test_launch_dry_run_prints_the_costs(prism, server):
    plan: dict[str, Any] = {
        "instance_type": "t3.large",
        "machine": "this computer",
        "image": None,
        "hourly": 0.0832,
        "daily": 2.0,
    }
    plan |= {"monthly": 59.9, "budget": None, "notes": ["a note"], "creates": ["a folder"]}
    plan |= {"disk_monthly": 1.6, "lasts_until": "2026-03-01T00:00:00Z"}
    server.on(LAUNCH, plan)
    done = prism("launch", "shell", "mine", "--dry-run")
    assert server.asked[0].body["dry_run"] is True
    assert "type         this computer\n" in done.stdout
    assert "an hour      $0.0832\n" in done.stdout
    assert "image        -\n" in done.stdout
    assert "its disk     $1.60 a month\n" in done.stdout
    assert "runs out on  2026-03-01 00:00" in done.stdout
    output = prism("launch", "shell", "mine", "--dry-run", TZ="America/New_York").stdout
    assert "runs out on  2026-02-28 19:00" in output, "in the same form as `prism project budget`"
    assert done.stderr == "Nothing was created.\n"
    assert "LIMIT" not in done.stdout
    assert json.loads(prism("launch", "shell", "mine", "--dry-run", "--json").stdout) == plan


def test_launch_dry_run_prints_reserved_and_left_amounts_per_limit(prism, server):
    own = {"cap": "project 'p'", "reserves": 8.05, "leaves": 11.95}
    part = {"cap": "allocation to 'p' from 'a'", "reserves": 0.32, "leaves": 0.68}
    plan: dict[str, Any] = {
        "instance_type": "t3.large",
        "machine": "this computer",
        "image": None,
        "hourly": 0.0832,
        "daily": 2.0,
    }
    plan |= {"monthly": 59.9, "budget": "p, from a", "notes": [], "creates": []}
    server.on(LAUNCH, plan | part | {"caps": [own, part]})
    output = prism("launch", "shell", "mine", "--dry-run").stdout
    fields, table = output.split("\n\n")
    assert [
        line.split()[-1] for line in fields.splitlines() if line.startswith(("res", "lea"))
    ] == [
        "$0.32",
        "$0.68",
    ]
    heads, first, second = table.splitlines()
    assert heads.split() == ["LIMIT", "RESERVES", "LEAVES"]
    assert first.split() == ["project", "'p'", "$8.05", "$11.95"]
    assert second.split()[-2:] == ["$0.32", "$0.68"]


def test_launch_without_a_terminal_prints_each_stage_once(prism, server):
    looks = [launching(5, "installing"), launching(9, "installing"), launching(80, "starting")]
    server.on(LAUNCH, (201, launched(notes=["granted 2 of 8 cores"])))
    server.on("GET /instances/mine", *looks, workspace())
    server.on("GET /instances/mine/connect", CONNECTION)
    done = prism("launch", "shell", "mine")
    assert (done.returncode, done.stdout) == (0, "mine is running\n")
    assert done.stderr.splitlines()[:3] == [
        "note: granted 2 of 8 cores",
        "mine: installing (5%)",
        "mine: starting (80%)",
    ]
    assert "`prism open mine`" in done.stderr


@pytest.mark.parametrize(
    ("access", "command"),
    [
        ({"ssh": {"host": "127.0.0.1", "port": 1, "user": "u"}, "services": {}}, "prism ssh mine"),
        ({"ssh": {}, "services": {}}, "prism connect mine"),
        (problem(503, "UNAVAILABLE", "not now"), "prism connect mine"),
    ],
)
def test_launch_suggests_open_only_for_a_workspace_with_services(prism, server, access, command):
    server.on(LAUNCH, (201, launched())).on("GET /instances/mine", workspace())
    server.on("GET /instances/mine/connect", access)
    done = prism("launch", "shell", "mine")
    assert f"`{command}`" in done.stderr
    assert "prism open" not in done.stderr


def test_launch_json_prints_only_the_final_state(prism, server):
    server.on(LAUNCH, (201, launched()))
    server.on("GET /instances/mine", launching(5, "installing"), workspace())
    done = prism("launch", "shell", "mine", "--json")
    assert json.loads(done.stdout) == workspace()
    assert done.stderr == ""
    assert json.loads(prism("launch", "a", "b", "--json", "--no-wait").stdout) == launched()


def test_launch_on_a_terminal_draws_and_clears_a_progress_bar(run_on_terminal, server):
    server.on(LAUNCH, (201, launched(estimated_ready_time="2099-01-01T00:00:00Z")))
    server.on("GET /instances/mine", launching(50, "installing"), workspace())
    code, screen = run_on_terminal("launch", "shell", "mine")
    assert code == 0
    assert "\rmine  ████████████░░░░░░░░░░░░  50%  installing  about " in screen
    assert "\r\x1b[Kmine is running\n" in screen, "the progress bar is cleared"


def test_progress_bar_fits_a_narrow_terminal(run_on_terminal, server):
    server.on(LAUNCH, (201, launched()))
    server.on("GET /instances/mine", launching(50, "installing " * 9), workspace())
    screen = run_on_terminal("launch", "shell", "mine", columns=30)[1]
    bar = screen.split("\r")[1].removesuffix("\x1b[K")
    assert (len(bar), bar[:7]) == (29, "mine  █")


def test_failed_launch_prints_the_reason_and_the_next_commands(prism, server):
    failure = {"code": "PACKAGE_NOT_FOUND", "message": "there is no package nmpy"}
    server.on(LAUNCH, (201, launched()))
    never = workspace(state="failed", failure=failure, launch_progress=40)
    server.on("GET /instances/mine", never)
    done = prism("launch", "shell", "mine")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: mine is failed: there is no package nmpy\n"
        "  PACKAGE_NOT_FOUND\n"
        "hint: Try again: `prism start mine`, with a corrected template `prism start mine "
        "--template-again`; give it up: `prism terminate mine`\n"
    )


def test_refused_launch_prints_the_error_and_a_hint(prism, server):
    server.on(LAUNCH, problem(409, "NAME_TAKEN", "mine exists", remediation="Use `prism list`"))
    done = prism("launch", "shell", "mine")
    assert (done.returncode, done.stderr) == (1, "error: mine exists\nhint: Use `prism list`\n")


def test_interrupted_launch_continues_in_the_daemon(begin_command, server):
    server.on(LAUNCH, (201, launched()))
    server.on("GET /instances/mine", launching(5, "installing"))
    child = begin_command("launch", "shell", "mine")
    eventually(lambda: len(server.asked_for("GET /instances/mine")) > 1)
    child.send_signal(2)
    assert child.wait(120) == 130
    errors = child.stderr.read()
    assert "mine continues (launching)" in errors
    assert "`prism show mine`" in errors
    assert "Traceback" not in errors
    assert {f"{request.method} {request.path}" for request in server.asked} == {
        LAUNCH,
        "GET /instances/mine",
    }


def test_refused_launch_names_command_options_instead_of_fields(prism, server):
    why = "Expected `float` >= 1.0"
    more = {
        "details": f"ttl_hours: {why}",
        "data": {"fields": [{"field": "ttl_hours", "why": why}]},
    }
    refused = problem(422, "VALIDATION_FAILED", "no", **more)
    server.on("POST /instances/launch", refused)
    done = prism("launch", "a", "mine", "--ttl", "30m")
    assert done.returncode == 1
    assert "--ttl: Expected `float` >= 1.0" in done.stderr
    assert "ttl_hours" not in done.stderr


def test_launch_prints_notes_before_anything_else(prism, server):
    notes = [
        "region us-east-1 has no meaning here",
        "spot has no meaning",
    ]
    server.on("POST /instances/launch", launched(notes=notes))
    server.on("GET /instances/mine", workspace())
    error_lines = prism(
        "launch", "a", "mine", "--region", "us-east-1", "--spot"
    ).stderr.splitlines()
    assert error_lines[:2] == [f"note: {note}" for note in notes]
