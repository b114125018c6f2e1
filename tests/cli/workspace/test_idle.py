"""`prism why`, `idle`, `keep-awake` and `logs`."""

import json
from typing import Any

import pytest

WHY = {
    "instance_name": "mine",
    "state": "running",
    "profile": "batch",
    "enabled": True,
    "idle_threshold_minutes": 60,
    "action": "hibernate",
    "verdict": "idle",
    "since": "2026-01-01T00:00:00Z",
    "idle_minutes": 12,
    "because": ["somebody typed into a terminal"],
    "measured": [
        {"what": "cpu", "value": 0.4, "limit": 5.0, "unit": "% of a core"},
        {"what": "network", "value": None, "limit": 1024.0, "unit": "KB/s"},
    ],
    "judged_at": "2026-01-01T00:12:00Z",
    "keep_awake_until": None,
    "acts_at": "2999-01-01T01:00:00Z",
    "last": None,
}
PAST = {
    "instance_name": "mine",
    "action": "stop",
    "trigger_time": "2026-01-01T00:00:00Z",
    "idle_duration": "25 minutes",
    "profile": "gpu",
    "estimated_savings": 0.52,
    "note": None,
}


def output_of_why(prism, server, **more):
    server.on("GET /idle/instances/mine", WHY | more)
    done = prism("why", "mine")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_why_prints_verdict_measurements_and_idle_limit(prism, server):
    output = output_of_why(prism, server)
    assert "mine has been idle for 12 minutes: somebody typed into a terminal." in output
    assert "cpu      0.4 % of a core, idle up to 5\n" in output
    assert "network  not measured, idle up to 1024\n" in output
    assert "if it stays so: after 60 idle minutes (profile batch)." in output


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"verdict": "active", "acts_at": None, "because": ["x"]}, "mine is active: x."),
        ({"verdict": "unknown", "acts_at": None}, "Unknown is not idle."),
        ({"verdict": None, "acts_at": None}, "nothing was measured yet"),
        ({"profile": None, "verdict": None}, "`prism idle configure mine standard`"),
        ({"enabled": False, "acts_at": None}, "this is switched off"),
        ({"keep_awake_until": "2026-01-01T03:00:00Z"}, "It is kept awake until 2026-01-01"),
        ({"state": "hibernated", "last": PAST}, "mine is hibernated.\nIt was last stopped 2026"),
        ({"last": PAST | {"note": "so"}}, "after 25 minutes idle (so)."),
    ],
)
def test_why_explains_each_verdict_and_state(prism, server, more, sentence):
    assert sentence in output_of_why(prism, server, **more)


@pytest.mark.parametrize(
    ("words", "line", "body"),
    [
        ("keep-awake mine 3h", "keep-awake", {"minutes": 180}),
        ("keep-awake mine 90m", "keep-awake", {"minutes": 90}),
        ("keep-awake mine 0", "keep-awake", {"minutes": 0}),
        (
            "idle configure mine gpu --minutes 20",
            "configure",
            {"profile": "gpu", "enabled": True, "custom_threshold_minutes": 20},
        ),
        (
            "idle configure mine gpu --off",
            "configure",
            {"profile": "gpu", "enabled": False, "custom_threshold_minutes": None},
        ),
    ],
)
def test_idle_commands_send_the_expected_request(prism, server, words, line, body):
    answer: dict[str, Any] = {"instance_name": "mine", "keep_awake_until": None, "enabled": True}
    answer |= {"profile": "gpu", "idle_threshold_minutes": 20, "action": "stop", "notes": ["n"]}
    server.on(f"POST /idle/instances/mine/{line}", answer)
    done = prism(*words.split())
    assert done.returncode == 0, done.stderr
    assert server.asked[-1].body == body


def test_keep_awake_prints_a_note_about_an_earlier_expiry(prism, server):
    note = "it expires before that, at 2026-01-01 04:00 UTC: `prism extend mine 2`"
    answer: dict[str, Any] = {
        "instance_name": "mine",
        "keep_awake_until": "2026-01-01T06:00:00Z",
        "notes": [note],
    }
    server.on("POST /idle/instances/mine/keep-awake", answer)
    done = prism("keep-awake", "mine", "6h")
    assert done.returncode == 0
    assert f"note: {note}" in done.stderr
    assert "mine stays awake until 2026-01-01" in done.stdout


def test_keep_awake_rejects_an_invalid_duration(prism, server):
    done = prism("keep-awake", "mine", "soon")
    assert done.returncode == 2
    assert "hint: Write it as 90m, 3h or 2d" in done.stderr


def test_idle_profile_commands_list_create_and_delete(prism, server):
    own = {"name": "own", "description": "d", "idle_threshold_minutes": 9, "action": "stop"}
    server.on("GET /idle/profiles", [own | {"cpu_threshold": 2.0}])
    head, row = prism("idle", "profile", "list").stdout.splitlines()
    assert head.split()[:4] == ["NAME", "IDLE", "ACTION", "CPU"]
    assert row.split() == ["own", "9m", "stop", "2.0", "-", "-", "-", "-", "d"]
    server.on("POST /idle/profiles", own)
    words = "idle profile create own --minutes 9 --then stop --cpu 2 --network 64"
    assert prism(*words.split()).stdout == "own was added\n"
    profile = {"name": "own", "idle_threshold_minutes": 9, "action": "stop", "description": ""}
    limits = {"cpu_threshold": 2.0, "network_threshold": 64}
    assert server.asked[-1].body == profile | limits
    server.on("DELETE /idle/profiles/own", {"message": "gone"})
    assert prism("idle", "profile", "delete", "own").stdout == "own was removed\n"
    assert prism("idle", "profile", "delete").returncode == 2


def test_idle_history_prints_a_table(prism, server):
    server.on("GET /idle/history?limit=100", [PAST])
    head, row = prism("idle", "history").stdout.splitlines()
    assert head.split() == ["WHEN", "WORKSPACE", "ACTION", "IDLE", "PROFILE", "SAVED"]
    assert "mine       stop    25 minutes  gpu      $0.52" in row


def test_logs_removes_terminal_control_sequences(prism, server):
    lines = ["one", "\x1b]0;title\x07\x1b[31mred\x1b[0m\x1b[2J", "tab\tstays"]
    server.on("GET /logs/mine?type=console&tail=100", {"lines": lines})
    assert prism("logs", "mine").stdout == "one\nred\ntab\tstays\n"


def test_logs_follow_json_prints_one_json_object_per_line(prism, server):
    lines = ["one", "\x1b[31mred\x1b[0m", "a\u2028b\x9bc", ""]
    text = "".join(f"{line}\n" for line in lines).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n".encode()
    server.on("GET /logs/mine?type=console&tail=100&follow=true", head + text)
    done = prism("logs", "mine", "-f", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"line": line} for line in lines
    ]
    assert prism("logs", "mine", "-f").stdout == "one\nred\na\ufffdbc\n\n"


def test_empty_log_prints_a_hint_about_other_types(prism, server):
    server.on("GET /logs/mine?type=application&tail=5", {"lines": []})
    done = prism("logs", "mine", "--type", "application", "-n", "5")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Another type: `prism logs mine --type system`" in done.stderr


def point(at, verdict, because, **figures):
    seconds = {
        f"{name}_seconds": 600 * (name == verdict) for name in ("active", "idle", "unknown")
    }
    figures = dict.fromkeys(("cpu", "memory", "network", "disk", "gpu")) | figures
    return {"at": at, "verdict": verdict, "because": [because], "figures": figures, **seconds}


def test_idle_activity_prints_periods_of_equal_verdicts(prism, server):
    points = [
        point("2026-01-01T00:00:00Z", "idle", "nothing is going on", cpu=1.0),
        point("2026-01-01T00:10:00Z", "idle", "nothing is going on", cpu=2.0),
        point("2026-01-01T00:20:00Z", "active", "a kernel is busy\x1b[2J", cpu=90.0),
        point("2026-01-01T02:00:00Z", "active", "a kernel is busy", cpu=None),
    ]
    figures = [{"name": "cpu", "unit": "% of a core", "limit": 5.0}]
    figures.append({"name": "gpu", "unit": "%", "limit": None})
    answer: dict[str, Any] = {
        "instance_name": "mine",
        "step_seconds": 600,
        "figures": figures,
        "points": points,
    }
    server.on("GET /idle/instances/mine/activity", answer)
    done = prism("idle", "activity", "mine")
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["FROM", "FOR", "WAS", "CPU", "BECAUSE"]  # no GPU was measured
    assert len(rows) == 3  # a gap without measurements ends a period
    assert rows[0].split()[3:7] == ["20m", "0s", "idle", "1.5"]
    assert rows[0].endswith("nothing is going on")
    assert rows[1].split()[3:7] == ["10m", "0s", "active", "90.0"]
    assert "\x1b" not in done.stdout
    assert rows[2].split()[-5:] == ["-", "a", "kernel", "is", "busy"]
    assert json.loads(prism("idle", "activity", "mine", "--json").stdout) == answer


def test_idle_activity_reports_an_unmeasured_workspace(prism, server):
    answer: dict[str, Any] = {
        "instance_name": "mine",
        "step_seconds": 600,
        "figures": [],
        "points": [],
    }
    server.on("GET /idle/instances/mine/activity", answer)
    assert "mine was not measured" in prism("idle", "activity", "mine").stderr


@pytest.mark.parametrize(
    ("duration", "minutes"), [("3", 180), ("1d12h", 2160), ("90m", 90), ("0", 0)]
)
def test_keep_awake_accepts_durations_in_every_unit(prism, server, duration, minutes):
    path = "POST /idle/instances/mine/keep-awake"
    server.on(path, {"instance_name": "mine", "keep_awake_until": None, "notes": []})
    assert prism("keep-awake", "mine", duration).returncode == 0
    assert server.asked_for(path)[0].body == {"minutes": minutes}


def test_idle_profile_create_accepts_a_threshold_in_hours(prism, server):
    path = "POST /idle/profiles"
    server.on(path, {"name": "slow", "idle_threshold_minutes": 120, "action": "stop"})
    prism("idle", "profile", "create", "slow", "--minutes", "2h", "--then", "stop")
    assert server.asked_for(path)[0].body["idle_threshold_minutes"] == 120
