"""On a shared daemon, one person cannot send mail without end, nor make projects or money."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from prism.invitations import service
from prism.templates import service as templates
from prism.templates.index import PackageLookup, PackageStatus
from prism.workspaces.model import MOST_VOLUMES
from tests.access.people import Team
from tests.conftest import Http
from tests.shapes import failed

PROJECTS = "projects"


@pytest.fixture
def strict(make_daemon):
    """A daemon with the default of who may make projects."""
    daemon = make_daemon(auth="tokens", user="ada@x.org", smtp_url="smtp://127.0.0.1:1")
    return Team(daemon, Http(daemon.app))


def test_only_the_operator_makes_projects_by_default(strict):
    for person in ("owner", "admin", "outside"):
        failed(strict(person, "POST", PROJECTS, json={"name": "Den"}), 403, "PERMISSION_DENIED")
    assert strict("operator", "POST", PROJECTS, json={"name": "Den"}).status_code == 201


def test_project_that_a_person_makes_has_no_money(make_daemon):
    settings = {"auth": "tokens", "user": "ada@x.org", "smtp_url": "smtp://127.0.0.1:1"}
    priced = {"project_creation": "everybody", "local_prices": "aws"}
    daemon = make_daemon(**settings, **priced)
    team = Team(daemon, Http(daemon.app))
    own = {"name": "Den", "budget": {"total_allocated": 1000.0}}
    failed(team("outside", "POST", PROJECTS, json=own), 403, "PERMISSION_DENIED")
    assert team("outside", "POST", PROJECTS, json={"name": "Den"}).status_code == 201
    failed(team.launch("outside", "costly", project="Den"), 403, "BUDGET_EXCEEDED")

    def give(person, total):
        money = {"budget": {"total_allocated": total}}
        return team(person, "PUT", "projects/Den", json=money)

    for total in (1000.0, None):
        failed(give("outside", total), 403, "PERMISSION_DENIED")
    assert team("outside", "PUT", "projects/Den", json={"description": "x"}).status_code == 200
    assert give("operator", 1000.0).status_code == 200
    assert team.launch("outside", "costly", project="Den").status_code == 201
    failed(give("outside", 2000.0), 403, "PERMISSION_DENIED")


def test_owner_lowers_the_budget_of_a_project_but_only_the_operator_raises_it(team):
    def give(person, total):
        money = {"budget": {"total_allocated": total}}
        return team(person, "PUT", "projects/Reef", json=money)

    assert give("operator", 1000.0).status_code == 200
    assert give("owner", 600.0).status_code == 200
    for total in (1000.0, 600.01, None):
        denied = failed(give("owner", total), 403, "PERMISSION_DENIED")
        assert "the budget is $600.00; an owner may lower it" in denied["details"]
    assert give("operator", 1000.0).status_code == 200
    assert give("operator", None).status_code == 200


def test_owner_changes_a_budget_that_an_owner_set_until_the_operator_sets_another(team):
    def give(person, total):
        money = {"budget": {"total_allocated": total}}
        return team(person, "PUT", "projects/Reef", json=money)

    assert give("operator", None).status_code == 200
    for total in (50.0, 20.0, 80.0, None, 60.0):
        answer = give("owner", total)
        assert answer.status_code == 200, "the operator has set no limit"
        assert answer.json()["budget"]["total_allocated"] == total
    threshold = {"budget": {"alert_threshold": 50.0}}
    assert team("operator", "PUT", "projects/Reef", json=threshold).status_code == 200
    assert give("owner", 70.0).status_code == 200, "the operator has set no limit yet"
    assert give("operator", 70.0).status_code == 200
    for total in (71.0, None):
        denied = failed(give("owner", total), 403, "PERMISSION_DENIED")
        assert "the budget is $70.00; an owner may lower it" in denied["details"]
    assert give("owner", 30.0).status_code == 200
    failed(give("owner", 70.0), 403, "PERMISSION_DENIED")


def test_owner_lowers_thresholds_of_the_operator_and_raises_none(team):
    def change(person, **limits):
        return team(person, "PUT", "projects/Reef", json={"budget": limits})

    limits = {"prevent_launch_threshold": 50.0, "auto_hibernate_threshold": 70.0}
    assert change("operator", total_allocated=1000.0, **limits).status_code == 200
    for limit, raised in (
        *(("prevent_launch_threshold", 50.1), ("prevent_launch_threshold", 100.0)),
        *(("auto_hibernate_threshold", 70.1), ("auto_hibernate_threshold", None)),
    ):
        denied = failed(change("owner", **{limit: raised}), 403, "PERMISSION_DENIED")
        assert "an owner may lower it" in denied["details"]
        both = change("owner", total_allocated=10.0, **{limit: raised})
        failed(both, 403, "PERMISSION_DENIED")
    assert change("owner", prevent_launch_threshold=40.0, alert_threshold=90.0).is_success
    assert change("owner", auto_hibernate_threshold=60.0).is_success
    assert change("operator", **limits).is_success
    assert change("operator", total_allocated=None).is_success
    assert change("owner", prevent_launch_threshold=100.0).is_success, "there is no budget"


@pytest.mark.parametrize("limit", ["MOST_A_DAY_BY_PERSON", "MOST_A_DAY_BY_ALL"])
def test_mails_of_people_are_limited(team, monkeypatch, limit):
    monkeypatch.setattr(service, limit, 4)
    first = team.invite("admin", "one@x.org").json()
    assert team("admin", "POST", f"invitations/{first['id']}/resend").status_code == 200
    assert team.invite("admin", "two@x.org").status_code == 201
    many = [{"email": f"n{number}@x.org"} for number in range(2)]
    bulk = {"project_id": team.project, "invitations": many}
    failed(team("admin", "POST", "invitations/bulk", json=bulk), 409, "INVITATION_LIMIT")
    assert team.invite("admin", "three@x.org").status_code == 201
    failed(team.invite("admin", "four@x.org"), 409, "INVITATION_LIMIT")
    resent = team("admin", "POST", f"invitations/{first['id']}/resend")
    failed(resent, 409, "INVITATION_LIMIT")
    by_others = team.invite("owner", "five@x.org")
    assert by_others.status_code == (201 if limit == "MOST_A_DAY_BY_PERSON" else 409)
    assert team.invite("operator", "six@x.org").status_code == 201
    team.daemon.clock.advance(days=2)
    assert team.invite("admin", "seven@x.org").status_code == 201


def test_launch_names_a_limited_number_of_volumes(team):
    names = ["missing"] * MOST_VOLUMES
    answer = team.launch("admin", "many", project="Reef", volumes=names)
    failed(answer, 404, "VOLUME_NOT_FOUND")
    answer = team.launch("admin", "many", project="Reef", volumes=[*names, "missing"])
    failed(answer, 422, "VALIDATION_FAILED")


def test_package_index_is_asked_for_one_request_at_a_time(team, monkeypatch):
    is_asked, may_answer = threading.Event(), threading.Event()

    def slow_index(packages):
        is_asked.set()
        assert may_answer.wait(60)
        return PackageLookup(PackageStatus.FOUND)

    monkeypatch.setattr(templates, "look_up", slow_index)

    def unchecked():
        """How many templates a check left unchecked."""
        answer = team("viewer", "GET", "templates/validate?packages=true")
        results = answer.json()["validation_results"]
        messages = [issue["message"] for result in results for issue in result["issues"]]
        return sum(message.startswith("unchecked: ") for message in messages)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(unchecked)
        assert is_asked.wait(60)
        assert unchecked() > 0
        may_answer.set()
        assert first.result(60) == 0
    assert unchecked() == 0
