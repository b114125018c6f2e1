"""`prism list`: as text, as JSON, and on terminals of several sizes."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.shown import workspace
from tests.client.scripted import Scripted, problem

LONG = "Python Machine Learning (Simplified)"

pytestmark = pytest.mark.timeout(60)  # in case a command never ends


def test_list_prints_a_table_with_dashes_for_unknown_values(prism, server):
    paid = workspace(
        "b",
        "hibernated",
        template=LONG,
        hourly_rate=0.0416,
        current_spend=2.4,
        machine="t3.medium",
    )
    coming = workspace("c", "launching", progress=42)
    server.on("GET /instances", [workspace("a"), paid, coming])
    done = prism("list")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "NAME  STATE          TEMPLATE                              "
        "TYPE       $/HOUR  SPENT  EXPIRES\n"
        "a     running        Plain Shell                           local      -       -      -\n"
        f"b     hibernated     {LONG}  t3.medium  0.0416  2.40   -\n"
        "c     launching 42%  Plain Shell                           local      -       -      -\n"
    )
    assert prism("workspace", "list").stdout == done.stdout


def test_list_shows_owners_if_there_are_several(prism, server):
    mine = workspace("a", owner="ada@x.org")
    server.on("GET /instances", [mine, workspace("b", owner="ben@x.org")])
    rows = [line.split() for line in prism("list").stdout.splitlines()]
    assert [row[-1] for row in rows] == ["OWNER", "ada@x.org", "ben@x.org"]
    server.on("GET /instances?owner=me", [mine]).on("GET /instances?owner=ben%40x.org", [])
    assert "OWNER" not in prism("list", "--mine").stdout
    assert "No such workspaces" in prism("list", "--owner", "ben@x.org").stderr
    assert prism("list", "--mine", "--owner", "ben@x.org").returncode == 2
    server.on("GET /instances/a", mine)
    assert re.search(r"^owner +ada@x\.org$", prism("show", "a").stdout, re.MULTILINE)


def test_list_shows_the_time_until_expiry(prism, server):
    def at(**more):
        return (datetime.now(UTC) + timedelta(**more)).strftime("%Y-%m-%dT%H:%M:%SZ")

    soon, later = at(minutes=200, seconds=30), at(days=3, hours=4, seconds=30)
    server.on(
        "GET /instances",
        [workspace(expires_at=expiry) for expiry in (soon, later, at(minutes=-2))],
    )
    rows = prism("list").stdout.splitlines()
    assert [row.split("-  ")[-1].strip() for row in rows[1:]][:2] == ["3h 20m", "3d 4h"]
    assert rows[3].endswith("s ago")


def test_list_filters_are_sent_to_the_daemon(prism, server):
    server.on("GET /instances?state=running&template=Plain%20Shell&project=p", [])
    done = prism("list", "--state", "running", "--template", "Plain Shell", "--project", "p")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "No such workspaces. All of them: `prism list`\n"


def test_empty_list_suggests_quickstart(prism, server):
    server.on("GET /instances", [])
    done = prism("list")
    assert done.stdout == ""
    assert "`prism quickstart`" in done.stderr
    assert json.loads(prism("list", "--json").stdout) == []


def test_list_json_prints_one_workspace_per_line(prism, server):
    workspaces = [workspace("a"), workspace("ü")]
    server.on("GET /instances", workspaces)
    output = prism("--json", "list").stdout
    assert json.loads(output) == workspaces
    assert len(output.splitlines()) == 4
    assert "ü" in output


def test_list_shortens_the_template_on_a_narrow_terminal(run_on_terminal, server):
    server.on("GET /instances", [workspace(template=LONG), workspace("b", "failed")])
    code, screen = run_on_terminal("list", columns=70, NO_COLOR="1")
    assert code == 0
    assert all(len(line) <= 70 for line in screen.splitlines())
    assert "Python" in screen
    assert "…" in screen
    assert LONG in run_on_terminal("list", columns=120, NO_COLOR="1")[1]


def test_list_colours_states_on_a_terminal(run_on_terminal, server):
    states = ["running", "failed", "launching", "stopped"]
    server.on("GET /instances", [workspace(state=state, progress=1) for state in states])
    rows = run_on_terminal("list")[1].splitlines()[1:]
    assert ["\x1b[32m" in rows[0], "\x1b[31;1m" in rows[1], "\x1b[33m" in rows[2]] == [True] * 3
    assert "\x1b" not in rows[3]


def test_list_removes_control_characters(prism, server):
    server.on("GET /instances", [workspace("a\x1b[2J\nb")])
    assert prism("list").stdout.splitlines()[1].startswith("a [2J b ")


def test_list_watch_prints_only_changed_lists(begin_command, server):
    looks = []

    def look(request, _):
        looks.append(request.headers.get("if-none-match"))
        state = "running" if len(looks) < 3 else "stopped"
        if request.headers.get("if-none-match") == state:
            return b"HTTP/1.1 304 Same\r\n\r\n"
        body = json.dumps([workspace(state=state)]).encode()
        head = f"HTTP/1.1 200 OK\r\nETag: {state}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    server.on("GET /instances", look)
    child = begin_command("list", "--watch")
    lines = [child.stdout.readline() for _ in range(4)]
    assert ["NAME" in line for line in lines] == [True, False, True, False]
    assert ("running" in lines[1], "stopped" in lines[3]) == (True, True)
    assert looks[:3] == [None, "running", "running"]
    child.send_signal(2)
    assert child.wait(120) == 130
    assert child.stderr.read() == ""


def test_list_watch_retries_without_starting_a_daemon(begin_command, server, home):
    server.on("GET /instances", [workspace()])
    child = begin_command("list", "--watch")
    assert "running" in [child.stdout.readline() for _ in range(2)][1]
    server.close()
    (home / "prism.sock").unlink()
    assert child.stderr.readline() == "No daemon answers; trying again\n"
    again = Scripted.on_path(home / "prism.sock")
    try:
        again.on("GET /instances", [workspace(state="stopped")])
        assert "stopped" in [child.stdout.readline() for _ in range(2)][1]
    finally:
        again.close()
    child.send_signal(2)
    assert child.wait(120) == 130
    assert not (home / "daemon.lock").exists()


def test_list_watch_on_a_terminal_redraws_the_rows_that_fit(run_on_terminal, server):
    looks = []

    def look(request, _):
        looks.append(request)
        if len(looks) == 2:
            return problem(409, "ENOUGH", "that is enough")
        return [workspace(f"w{number}") for number in range(40)]

    server.on("GET /instances", look)
    code, screen = run_on_terminal("list", "--watch", NO_COLOR="1")
    assert code == 1
    assert "w20" in screen
    assert "… and 19 more" in screen, (
        "24 rows: the header, 21 workspaces, this line, and the line of the cursor"
    )
    assert "w21" not in screen
    assert screen.index("\x1b[?25l") < screen.index("w20") < screen.index("\x1b[?25h")


def test_list_watch_reports_an_empty_list(run_on_terminal, server):
    server.on("GET /instances", lambda *_: [], problem(409, "ENOUGH", "that is enough"))
    assert "No workspaces yet" in run_on_terminal("list", "--watch")[1]


def test_empty_list_with_a_token_suggests_quickstart_with_a_project(prism, server):
    server.on("GET /instances", [])
    assert "prism quickstart`" in prism("list").stderr
    assert "`prism quickstart --project PROJECT`" in prism("list", PRISM_TOKEN="prism_x").stderr


def test_quickstart_request_contains_the_project(prism, server):
    server.on("GET /instances/quickstart", (404, {"error": {"code": "INSTANCE_NOT_FOUND"}}))
    server.on("POST /instances/launch", {"name": "quickstart", "state": "launching"})
    prism("quickstart", "--project", "reef", "--no-wait")
    assert server.asked_for("POST /instances/launch")[0].body["project"] == "reef"
