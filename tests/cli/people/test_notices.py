"""`prism notices …`: what it prints, and what it refuses before a request."""

import pytest

NOTICE = {
    "id": "ntc_019b75ed",
    "at": "2026-03-02T08:00:00Z",
    "kind": "expiry",
    "title": "mine expires in 24 h",
    "text": "Its files are destroyed then.\nNobody else is told.",
    "command": "prism workspace extend mine 24h",
    "project": None,
    "read_at": None,
}


def test_list_shows_the_id_that_read_takes(prism, server):
    server.on("GET /notices?limit=30", {"notices": [NOTICE], "unread": 1})
    done = prism("notices", "list")
    output = done.stdout
    assert done.returncode == 0, done.stderr
    assert "mine expires in 24 h  (ntc_019b75ed)\n" in output
    assert "      Nobody else is told.\n      prism workspace extend mine 24h\n" in output
    server.on("POST /notices/read", {"read": 1})
    assert "1 notice is marked" in prism("notices", "read", "ntc_019b75ed").stderr
    [request] = server.asked_for("POST /notices/read")
    assert request.body == {"ids": ["ntc_019b75ed"]}


@pytest.mark.parametrize("time", ["30m", "90m", "0h"])
def test_time_before_an_expiry_is_in_whole_hours(prism, server, time):
    done = prism("notices", "set", "--expiry", time)
    assert (done.returncode, server.asked) == (2, [])
    assert "--expiry" in done.stderr
