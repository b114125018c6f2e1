"""`prism show` and the verbs of a workspace."""

import json
import re

import pytest

from tests.cli.shown import changed, workspace
from tests.client.scripted import problem

TERMINATE = "POST /instances/mine/terminate"
GOING = {"name": "mine", "state": "terminating", "message": "m"}


def squeezed(output):
    """The output with two blanks between columns, however wide they are."""
    return re.sub(" {2,}", "  ", output)


def test_show_prints_the_fields_of_a_workspace(prism, server):
    workspace_shown = workspace(
        state="launching",
        stage="installing",
        progress=40,
        hourly_rate=0.0416,
        price_source="simulated",
        tags={"Project": "p"},
        expires_at="2099-01-01T00:00:00Z",
    )
    server.on("GET /instances/mine", workspace_shown)
    output = prism("workspace", "show", "mine").stdout
    assert "state  launching (installing, 40%)\n" in squeezed(output)
    assert "an hour  $0.0416 (simulated)\n" in squeezed(output)
    assert "spent  -\n" in squeezed(output)
    assert "tags  Project=p\n" in squeezed(output)
    assert "2099-01-01" in output
    assert json.loads(prism("workspace", "show", "mine", "--json").stdout) == workspace_shown


def test_show_of_an_older_daemon_prints_the_machine_type(prism, server):
    answer = workspace(instance_type="t3.large")
    del answer["machine"]
    server.on("GET /instances/mine", answer)
    assert "t3.large" in prism("show", "mine").stdout


def test_show_says_that_memory_is_not_limited(prism, server):
    """Beside the note on its idle rule, and on its hibernation."""
    lacks = "its memory is not limited: Prism can make no control group here"
    idle = {"profile": "gpu", "verdict": None, "note": "no GPU"}
    server.on("GET /instances/mine", workspace(notes=[lacks]))
    assert f"note  {lacks}\n" in squeezed(prism("show", "mine").stdout)
    server.on("GET /instances/mine", workspace(notes=[lacks], idle=idle))
    assert f"note  {lacks}; no GPU\n" in squeezed(prism("show", "mine").stdout)
    server.on("GET /instances/mine", workspace(state="hibernated", notes=[lacks]))
    asleep = {"hibernation_time": None, "hibernation_duration": None, "note": "resume it soon"}
    server.on("GET /instances/mine/hibernation-status", asleep)
    assert f"note  {lacks}; resume it soon\n" in squeezed(prism("show", "mine").stdout)


@pytest.mark.parametrize(
    ("code", "what_to_do"),
    [
        ("DISK_FULL", "`prism start mine`; see why: `prism logs mine`"),
        ("MACHINE_VANISHED", "`prism terminate mine --yes`; see why: `prism logs mine`"),
    ],
)
def test_show_of_a_failed_workspace_begins_with_reason_and_remedy(prism, server, code, what_to_do):
    failure = {"code": code, "message": "The disk is full; make room, then start it"}
    server.on("GET /instances/mine", workspace(state="failed", failure=failure))
    first, second, *_ = prism("workspace", "show", "mine").stdout.splitlines()
    assert first.split(None, 1) == ["failure", failure["message"]]
    assert second.removeprefix("what to do").strip() == what_to_do


def test_show_suggests_template_again_only_after_a_failed_launch(prism, server):
    failure = {"code": "POST_INSTALL_FAILED", "message": "`moo` ended with exit code 127"}
    never = workspace(state="failed", failure=failure, launch_progress=40)
    server.on("GET /instances/mine", never)
    assert "`prism start mine --template-again`" in prism("show", "mine").stdout
    server.on("GET /instances/mine", never | {"launch_progress": 100})
    assert "--template-again" not in prism("show", "mine").stdout


def test_start_template_again_is_sent_in_the_request(prism, server):
    server.on("POST /instances/mine/start", changed("failed", "starting"))
    server.on("GET /instances/mine", workspace())
    assert prism("start", "mine", "--template-again").returncode == 0
    assert prism("start", "mine").returncode == 0
    first, second = server.asked_for("POST /instances/mine/start")
    assert (first.body, second.body) == ({"template_again": True}, None)


def test_show_of_a_hibernated_workspace_prints_duration_and_note(prism, server):
    server.on("GET /instances/mine", workspace(state="hibernated"))
    slept = {"hibernation_time": "2026-01-01T00:00:00Z", "hibernation_duration": "4h 30m"}
    path = "GET /instances/mine/hibernation-status"
    server.on(path, slept | {"note": "resume it by 2026-03-02"})
    output = prism("workspace", "show", "mine").stdout
    assert ", 4h 30m\n" in output
    assert "note  resume it by 2026-03-02\n" in squeezed(output)


@pytest.mark.parametrize(
    ("verb", "before", "under_way", "after"),
    [
        ("stop", "running", "stopping", "stopped"),
        ("start", "stopped", "starting", "running"),
        ("hibernate", "running", "hibernating", "hibernated"),
        ("resume", "hibernated", "resuming", "running"),
    ],
)
def test_verbs_wait_for_the_final_state(prism, server, verb, before, under_way, after):
    server.on(f"POST /instances/mine/{verb}", changed(before, under_way))
    looks = (workspace(state=under_way), workspace(state=after))
    server.on("GET /instances/mine", *looks, *looks)
    done = prism(verb, "mine")
    assert (done.returncode, done.stdout) == (0, f"mine is {after}\n")
    note = "note: its memory stays in this computer's RAM; a restart of the computer loses it\n"
    assert done.stderr == f"mine: {under_way}\n{note if verb == 'hibernate' else ''}"
    assert json.loads(prism(verb, "mine", "--json").stdout)["state"] == after
    now = prism("workspace", verb, "mine", "--no-wait")
    assert now.stdout == f"mine was {before} and is {under_way}\n"


def test_stop_of_a_stopped_workspace_reports_no_change(prism, server):
    server.on("POST /instances/mine/stop", changed("stopped", "stopped"))
    server.on("GET /instances/mine", workspace(state="stopped"))
    assert prism("stop", "mine").stdout == "mine was already stopped\n"


def test_refused_verb_prints_the_error_and_a_hint(prism, server):
    hint = "Use `prism start mine`"
    refused = problem(409, "INVALID_STATE", "mine is stopped", remediation=hint)
    server.on("POST /instances/mine/hibernate", refused)
    done = prism("hibernate", "mine")
    assert (done.returncode, done.stderr) == (1, f"error: mine is stopped\nhint: {hint}\n")


def test_extend_sends_hours_and_prints_the_expiry(prism, server):
    server.on("POST /instances/mine/extend", (204,))
    server.on("GET /instances/mine", workspace(expires_at="2099-01-01T12:00:00Z"))
    assert prism("extend", "mine", TZ="UTC").stdout.startswith(
        "mine expires 2099-01-01 12:00 UTC, in "
    )
    for more in (["8"], ["8h"], ["2d"], ["90m"], ["1d2h"], ["--never"]):
        assert prism("extend", "mine", *more).returncode == 0
    assert [request.body for request in server.asked_for("POST /instances/mine/extend")] == [
        None,
        *({"hours": hours} for hours in (8, 8, 48, 1.5, 26, None)),
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["0"],
        ["0h"],
        ["-3"],
        ["soon"],
        ["nan"],
        ["inf"],
        [""],
        ["4", "--never"],
        ["4", "--until", "2099-01-01"],
        ["--until", "later"],
    ],
)
def test_extend_rejects_an_invalid_duration_without_a_request(prism, server, words):
    done = prism("extend", "mine", *words)
    assert (done.returncode, server.asked) == (2, [])


def test_extend_until_sends_a_time_of_this_computer_in_utc(prism, server):
    server.on("POST /instances/mine/extend", (204,))
    server.on("GET /instances/mine", workspace(expires_at="2099-01-01T12:00:00Z"))
    for until in ("2099-01-01T12:00", "2099-01-01", "2099-01-01T12:00Z"):
        assert prism("extend", "mine", "--until", until, TZ="UTC-2").returncode == 0
    sent = [request.body for request in server.asked_for("POST /instances/mine/extend")]
    times = ["2099-01-01T10:00:00Z", "2099-01-01T22:00:00Z", "2099-01-01T12:00:00Z"]
    assert sent == [{"expires_at": at} for at in times]


def test_extend_reports_an_added_and_a_removed_expiry(prism, server):
    server.on("POST /instances/mine/extend", (204,))
    path, some = "GET /instances/mine", workspace(expires_at="2099-01-01T12:00:00Z")
    server.on(path, workspace(), some)
    assert "mine had no expiry, and now expires 2099" in prism("extend", "mine").stdout
    server.on(path, some, workspace())
    assert prism("extend", "mine", "--never").stdout == "mine does not expire any more\n"
    server.on(path, workspace())
    assert prism("extend", "mine", "--never").stdout == "mine does not expire\n"


def test_terminate_without_a_terminal_requires_yes(prism, server):
    server.on(TERMINATE, GOING)
    done = prism("terminate", "mine", input="mine\n")
    assert (done.returncode, server.asked) == (1, [])
    assert "error: Nothing was destroyed" in done.stderr
    assert "`prism terminate mine --yes`" in done.stderr
    server.on("GET /instances/mine", workspace(state="terminating"), workspace(state="terminated"))
    done = prism("--yes", "terminate", "mine", "--backup")
    assert (done.returncode, done.stdout) == (0, "mine is terminated\n")
    assert server.asked_for(TERMINATE)[0].body == {"confirm": "DELETE", "backup_ebs": True}


def test_terminate_on_a_terminal_requires_the_name(run_on_terminal, server):
    server.on(TERMINATE, GOING).on("GET /instances/mine", problem(404, "INSTANCE_NOT_FOUND", "no"))
    code, screen = run_on_terminal("terminate", "mine", keys="yes\n")
    assert (code, server.asked) == (1, [])
    assert "Nothing was destroyed" in screen
    code, screen = run_on_terminal("terminate", "mine", keys="mine\n")
    assert (code, screen.endswith("mine is terminated\n")) == (0, True)
    assert len(server.asked_for(TERMINATE)) == 1


@pytest.mark.parametrize(
    ("machine", "in_a_list"), [("this computer, at most 2 cores", "local"), ("t3.medium",) * 2]
)
def test_type_of_a_local_workspace_is_this_computer(prism, server, machine, in_a_list):
    server.on("GET /instances/mine", workspace(machine=machine))
    [line] = [line for line in prism("show", "mine").stdout.splitlines() if "type" in line[:5]]
    assert line.removeprefix("type").strip() == machine
    server.on("GET /instances", [workspace(machine=machine)])
    assert prism("list").stdout.splitlines()[1].split("Plain Shell")[1].split()[0] == in_a_list
