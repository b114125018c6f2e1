"""A refusal for lack of money or of a limit says how to request more, to who may request."""

import re
import shlex

import pytest

from prism.cli.parser import build_parser, find
from tests.access.people import Team
from tests.conftest import Http
from tests.shapes import failed

DISK = {"ebs_volume_size": 20}


@pytest.fixture
def team(make_daemon, cloud):
    daemon = make_daemon(auth="tokens", user="ada@x.org", local_prices="aws")
    return Team(daemon, Http(daemon.app))


def limit(team, **fields):
    assert team("operator", "PUT", "limits", json=fields).status_code == 200


def refused(team, code, caller="member", **order):
    return failed(team.launch(caller, "more", storage=DISK, **order), 403, code)["remediation"]


def request_in(hint):
    """The command of a hint; the command line accepts it."""
    [command] = re.findall(r"request more: `(prism request [^`]+)`", hint)
    words = shlex.split(command)[1:]
    command_words, more = find(words)
    build_parser(command_words).parse_args(more)
    return words


def test_limit_of_workspaces(team):
    limit(team, person="*", workspaces=1)
    assert team.launch("member", "first", storage=DISK).status_code == 201
    words = request_in(refused(team, "LIMIT_REACHED"))
    assert words == ["request", "workspaces", "1"]
    answer = team("member", "POST", "requests", json={"kind": "workspaces", "count": 1})
    assert answer.status_code == 201, answer.text


def test_own_limit_of_money(team):
    limit(team, person="member@x.org", monthly=0.5)
    assert request_in(refused(team, "BUDGET_EXCEEDED")) == ["request", "money", "2"]
    answer = team("member", "POST", "requests", json={"kind": "money", "usd": 2.0})
    assert answer.status_code == 201, answer.text
    path = f"requests/{answer.json()['id']}/grant"
    assert team("operator", "POST", path).status_code == 200
    assert team.launch("member", "more", storage=DISK).status_code == 201, "it was enough"


def test_budget_of_a_project_whose_name_needs_quotes(team):
    change = {"name": "the reef", "budget": {"total_allocated": 0.5}}
    assert team("operator", "PUT", f"projects/{team.project}", json=change).status_code == 200
    hint = refused(team, "BUDGET_EXCEEDED")
    assert hint.startswith("See `prism budget forecast 'the reef'`, or request more: ")
    assert request_in(hint) == ["request", "money", "2", "--project", "the reef"]


def test_operator_is_told_no_request(team):
    limit(team, person="ada@x.org", workspaces=1, monthly=0.01)
    assert "request" not in refused(team, "BUDGET_EXCEEDED", "operator")


def test_person_who_launches_for_another_requests_nothing_of_the_other_ones_limit(team):
    limit(team, person="member@x.org", workspaces=0)
    hint = refused(team, "LIMIT_REACHED", "admin", owner="member@x.org")
    assert "request" not in hint


def test_person_on_her_own_computer_is_told_no_request(make_daemon, cloud):
    daemon = make_daemon(local_prices="aws")
    ask = Http(daemon.app)
    project = {"name": "lab", "budget": {"total_allocated": 0.5}}
    assert ask("POST", "/api/v1/projects", json=project).status_code == 201
    order = {"name": "a", "template": "Plain Shell", "project": "lab", "storage": DISK}
    fault = failed(ask("POST", "/api/v1/instances/launch", json=order), 403, "BUDGET_EXCEEDED")
    assert fault["remediation"] == "See `prism budget forecast lab`"
