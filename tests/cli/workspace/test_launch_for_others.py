"""`prism launch --count` and `--owner`, with a real daemon, as each person of a project."""

import json
import sys

import pytest

from tests.project.home import Home
from tests.project.tree import ROOT
from tests.waiting import eventually

IN_MEMORY = (sys.executable, str(ROOT / "bench/daemon.py"))
TEACHER, MEMBER, OTHER, GUEST = "pi@x.org", "eve@x.org", "bob@x.org", "new@x.org"


class Lab:
    """Commands of people, each with a token of their own."""

    def __init__(self, home):
        self.home = home
        self.url = json.loads((home.folder / "daemon.lock").read_text())["url"]
        tokens = home.client.tokens
        self.tokens = {
            user: tokens.create(f"of {user}", user=user, scope="admin").token
            for user in (TEACHER, MEMBER, OTHER)
        }

    def __call__(self, user, *words):
        return self.home.cli(*words, PRISM_URL=self.url, PRISM_TOKEN=self.tokens[user])

    def launch(self, user, name, *words):
        return self(user, "launch", "plain-shell", name, "--project", "reef", *words)

    def owners(self):
        """The owner and state of each workspace that exists, by its name."""
        return {row.name: (row.owner, row.state) for row in self.existing()}

    def ids(self):
        return {row.name: row.workspace for row in self.existing()}

    def existing(self):
        rows = self.home.client.workspaces.list()
        return [row for row in rows if row.state != "terminated"]


@pytest.fixture
def lab(tmp_path):
    home = Home(tmp_path / "home")
    try:
        with home.run_daemon(IN_MEMORY, PRISM_AUTH="tokens", PRISM_LOCAL_PRICES="aws"):
            people = {TEACHER: "admin", MEMBER: "member", OTHER: "member"}
            home.client.projects.create("reef", members=people)
            yield Lab(home)
    finally:
        home.clear()


def test_several_are_launched_by_one_command_and_a_repetition_launches_the_rest(lab):
    done = lab.launch(MEMBER, "node", "--count", "3")
    assert (done.returncode, done.stdout) == (
        0,
        "node-1 is launching\nnode-2 is launching\nnode-3 is launching\n",
    ), done.stderr
    eventually(lambda: {state for _, state in lab.owners().values()} == {"running"}, 120)
    assert lab.owners() == {f"node-{number}": (MEMBER, "running") for number in (1, 2, 3)}
    first = lab.ids()
    assert lab(MEMBER, "terminate", "node-2", "--yes").returncode == 0
    eventually(lambda: "node-2" not in lab.owners(), 120)
    again = lab.launch(MEMBER, "node", "--count", "4", "--json")
    answers = [(row["name"], row["state"]) for row in json.loads(again.stdout)]
    assert answers == [
        ("node-1", "already there"),
        ("node-2", "launching"),
        ("node-3", "already there"),
        ("node-4", "launching"),
    ]
    second = lab.ids()
    assert sorted(second) == ["node-1", "node-2", "node-3", "node-4"]
    assert {name for name in first if second[name] == first[name]} == {"node-1", "node-3"}


def test_limit_ends_a_launch_of_several_and_a_repetition_goes_on(lab):
    limit = ("limit", "set", "--person", MEMBER, "--workspaces")
    assert lab.home.cli(*limit, "2").returncode == 0
    done = lab.launch(MEMBER, "node", "--count", "3")
    assert done.returncode != 0 and "2 workspaces" in done.stderr
    assert done.stdout == "node-1 is launching\nnode-2 is launching\n"
    assert sorted(lab.owners()) == ["node-1", "node-2"]
    assert lab.home.cli(*limit, "3").returncode == 0
    assert lab.launch(MEMBER, "node", "--count", "3").returncode == 0
    assert sorted(lab.owners()) == ["node-1", "node-2", "node-3"]


@pytest.mark.parametrize("count", ["0", "-1", "101"])
def test_count_out_of_range_launches_nothing(lab, count):
    for more in ((), ("--dry-run",)):
        done = lab.launch(MEMBER, "node", f"--count={count}", *more)
        assert done.returncode == 2 and "--count is 1 to 100" in done.stderr
    assert lab.owners() == {}


def test_dry_run_of_several_says_what_they_cost_together(lab):
    plan = json.loads(lab.launch(MEMBER, "node", "--count", "4", "--dry-run", "--json").stdout)
    done = lab.launch(MEMBER, "node", "--count", "4", "--dry-run")
    assert f"one of 4; ${4 * plan['hourly']:.4f} an hour together" in done.stderr
    assert lab.owners() == {}


def test_admin_launches_for_a_member_who_owns_it_and_the_command_waits_for_it(lab):
    assert lab.launch(TEACHER, "desk").returncode == 0
    done = lab.launch(TEACHER, "desk", "--owner", "Eve@X.org")
    assert (done.returncode, done.stdout) == (0, "desk--eve is running\n"), done.stderr
    mine = json.loads(lab(MEMBER, "list", "--mine", "--json").stdout)
    assert [(row["name"], row["owner"]) for row in mine] == [("desk", MEMBER)]
    stopped = lab(MEMBER, "stop", "desk")
    assert stopped.returncode == 0, stopped.stderr
    states = {row.owner: row.state for row in lab.home.client.workspaces.list()}
    assert states == {TEACHER: "running", MEMBER: "stopped"}
    launched = [
        (entry.actor, entry.subject)
        for entry in lab.home.client.audit.entries(event="instance_asked")
        if entry.actor == TEACHER
    ]
    assert len(launched) == 2, "the log names who launched, not the owner"


def test_several_for_another_person_are_all_hers(lab):
    done = lab.launch(TEACHER, "node", "--owner", MEMBER, "--count", "2")
    assert done.returncode == 0, done.stderr
    assert {owner for owner, _ in lab.owners().values()} == {MEMBER}
    repeated = lab.launch(TEACHER, "node", "--owner", MEMBER, "--count", "2")
    assert repeated.stdout == "node-1 is already there\nnode-2 is already there\n"
    own = lab.launch(TEACHER, "node", "--count", "2")
    assert own.stdout == "node-1 is launching\nnode-2 is launching\n", "names are per person"


def test_invited_person_gets_it_and_nobody_outside_does(lab):
    stranger = lab.launch(TEACHER, "desk", "--owner", GUEST)
    assert stranger.returncode != 0 and GUEST in stranger.stderr and lab.owners() == {}
    invited = lab.home.cli("invite", "send", "reef", GUEST)
    assert invited.returncode == 0, invited.stderr
    assert lab.launch(TEACHER, "desk", "--owner", GUEST, "--no-wait").returncode == 0
    assert lab.owners()["desk"][0] == GUEST


def test_member_launches_for_nobody_else(lab):
    done = lab.launch(OTHER, "desk", "--owner", MEMBER)
    assert done.returncode != 0 and "admin" in done.stderr.lower()
    assert lab.owners() == {}
