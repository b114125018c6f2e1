"""A real daemon is killed around the end of a membership; the end comes once, as decided."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.project.home import Home
from tests.waiting import eventually

BOB = "bob@x.org"
TEAM = {"PRISM_AUTH": "tokens"}
LEAD = timedelta(seconds=4)  # from the request to the end


def passed(until):
    """Whether a time has come."""
    return datetime.now(UTC) >= until


def events_of(client, name):
    return [entry for entry in client.audit.entries(event=name) if entry.event == name]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("late", [-1.0, 0.0, 0.1, 0.3], ids="killed {} s after the end".format)
def test_membership_ends_once_although_the_daemon_is_killed(tmp_path, late):
    home = Home(tmp_path / "home")
    try:
        with home.run_daemon(**TEAM) as process:
            client = home.client
            client.projects.create("Reef", members={"pi@x.org": "owner", BOB: "member"})
            client.workspaces.launch("Plain Shell", "mine", project="Reef", owner=BOB, wait=120)
            until = datetime.now(UTC) + LEAD
            client.members.change("Reef", BOB, until=until)
            eventually(lambda: passed(until + timedelta(seconds=late)))
            process.kill()
            process.wait(60)
        eventually(lambda: passed(until))
        with home.run_daemon(**TEAM):
            client = home.client
            eventually(lambda: len(events_of(client, "member_left")) == 1)
            assert BOB not in {member.email for member in client.members.list("Reef")}
            eventually(lambda: client.workspaces.get("mine--bob").state == "stopped", 60)
            assert client.workspaces.get("mine--bob").owner == BOB
            [left] = events_of(client, "member_left")
            assert (left.actor, left.data["at_end"]) == ("prism", "stop")
            verbs = [entry.data["verb"] for entry in events_of(client, "instance_asked")]
            assert verbs.count("stop") == 1
            client.workspaces.terminate("mine--bob", wait=120)
    finally:
        home.clear()
