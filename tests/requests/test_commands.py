"""Requests for more by the command line of each person, with a real daemon."""

import json
import sys

import pytest

from tests.project.home import Home
from tests.project.tree import ROOT

IN_MEMORY = (sys.executable, str(ROOT / "bench/daemon.py"))
OWNER, ASKING, OTHER = "pi@x.org", "post@x.org", "phd@x.org"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("requests") / "home")
    try:
        with home.run_daemon(IN_MEMORY, PRISM_AUTH="tokens"):
            members = {OWNER: "owner", ASKING: "member", OTHER: "member"}
            home.client.projects.create("reef", members=members)
            yield Lab(home)
    finally:
        home.clear()


class Lab:
    """Commands of people, each with a token of their own."""

    def __init__(self, home):
        self.home = home
        self.url = json.loads((home.folder / "daemon.lock").read_text())["url"]
        tokens = home.client.tokens
        self.tokens = {
            user: tokens.create(f"of {user}", user=user, scope="admin").token
            for user in (OWNER, ASKING, OTHER)
        }

    def __call__(self, user, *words):
        return self.home.cli(*words, PRISM_URL=self.url, PRISM_TOKEN=self.tokens[user])

    def total(self):
        return json.loads(self(OWNER, "project", "show", "reef", "--json").stdout)["budget"][
            "total_allocated"
        ]


def id_of(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["id"]


def test_one_command_grants_and_one_refuses_and_both_are_in_the_audit_log(lab):
    assert lab(OWNER, "project", "update", "reef", "--budget", "100").returncode == 0
    more = ("request", "money", "--project", "reef", "--json")
    first = id_of(lab(ASKING, *more, "50", "--reason", "one more run"))
    second = id_of(lab(ASKING, *more, "7"))
    listed = lab(OWNER, "request", "list", "--state", "pending").stdout
    assert first in listed and "one more run" in listed and "you may answer" in listed
    stranger = lab(OTHER, "request", "grant", first)
    assert stranger.returncode != 0 and lab.total() == 100
    granted = lab(OWNER, "request", "grant", first)
    assert (granted.returncode, granted.stdout + granted.stderr) == (
        0,
        f"The request of {ASKING} ($50.00 more for project reef) was granted\n",
    )
    assert lab.total() == 150
    refused = lab(OWNER, "request", "refuse", second, "--reason", "not this year")
    assert refused.returncode == 0 and lab.total() == 150
    again = lab(OWNER, "request", "grant", second)
    assert again.returncode != 0 and "The request was refused" in again.stderr
    states = lab(ASKING, "request", "list").stdout
    assert f"granted by {OWNER}" in states
    assert f"refused by {OWNER}: not this year" in states
    logged = {
        (entry.event, entry.actor, entry.subject)
        for entry in lab.home.client.audit.entries()
        if entry.event.startswith("more_")
    }
    request = ("more_requested", ASKING)
    assert logged == {
        (*request, "$50.00 more for project reef"),
        (*request, "$7.00 more for project reef"),
        ("more_granted", OWNER, "$50.00 more for project reef"),
        ("more_refused", OWNER, "$7.00 more for project reef"),
    }
