"""Names belong to people: several may have a workspace, volume or snapshot of the same one."""

import threading

import pytest
from sqlalchemy import func, select

from prism.access.handles import MAX_HANDLE, handle_for
from prism.workspaces.store import workspaces
from tests.access.people import Team
from tests.conftest import ML, Http
from tests.shapes import failed


def settle(team, clock):
    for _ in range(4):
        clock.advance(seconds=3)
        team.daemon.settle()


def owner_of(team, caller, name):
    answer = team(caller, "GET", f"instances/{name}")
    assert answer.status_code == 200, answer.text
    return answer.json()["owner"]


@pytest.fixture
def lab(team):
    """Two members, who may not see who is outside; each person has a workspace `mine`."""
    own = team("outside", "POST", "projects", json={"name": "Own"}).json()["id"]
    for caller, project in (("member", "Reef"), ("admin", "Reef"), ("outside", own)):
        answer = team.launch(caller, "mine", template=ML, project=project)
        assert answer.status_code == 201, answer.text
    team.daemon.settle()
    return team


def test_a_name_means_ones_own_workspace_first(lab):
    for caller in ("member", "admin", "outside"):
        assert owner_of(lab, caller, "mine") == f"{caller}@x.org"
        assert lab(caller, "POST", "instances/mine/stop?wait=0").status_code == 200
        stopping = {
            row["owner"]: row["state"] for row in lab("operator", "GET", "instances").json()
        }
        assert stopping[f"{caller}@x.org"] == "stopping"
        lab.daemon.settle()
        lab(caller, "POST", "instances/mine/start?wait=0")
        lab.daemon.settle()


def test_a_full_name_means_the_same_to_everybody_who_may_see_it(lab):
    for caller in ("member", "admin", "owner", "viewer", "operator"):
        assert owner_of(lab, caller, "mine--member") == "member@x.org"
    assert lab("admin", "GET", "instances/mine--member").json()["full_name"] == "mine--member"
    assert lab("admin", "GET", "instances/mine--member").json()["name"] == "mine"
    failed(lab("member", "GET", "instances/mine--outside"), 404, "INSTANCE_NOT_FOUND")
    failed(lab("member", "POST", "instances/mine--admin/stop"), 403, "PERMISSION_DENIED")
    assert lab("admin", "POST", "instances/mine--member/stop").status_code == 200


def test_a_permanent_id_means_one_workspace_for_whoever_may_see_it(lab):
    rows = {row["owner"]: row["workspace"] for row in lab("operator", "GET", "instances").json()}
    ids = {caller: rows[f"{caller}@x.org"] for caller in ("member", "admin", "outside")}
    for caller in ("member", "admin", "operator"):
        assert owner_of(lab, caller, ids["member"]) == "member@x.org"
    assert lab("admin", "POST", f"instances/{ids['member']}/stop").status_code == 200
    failed(lab("member", "GET", f"instances/{ids['outside']}"), 404, "INSTANCE_NOT_FOUND")
    failed(lab("member", "POST", f"instances/{ids['admin']}/stop"), 403, "PERMISSION_DENIED")
    taken = lab("member", "POST", "instances/launch", json={"template": ML, "name": ids["admin"]})
    assert taken.status_code == 422, "no name looks like an id"


def test_several_visible_workspaces_of_others_are_an_error_that_names_them(lab):
    answer = lab("owner", "GET", "instances/mine")
    failed(answer, 409, "AMBIGUOUS_NAME")
    error = answer.json()["error"]
    assert error["details"] == "they are mine--admin, mine--member"
    assert "prism workspace show mine--admin" in error["remediation"]
    everybody = lab("operator", "POST", "instances/mine/stop").json()["error"]
    assert everybody["details"] == "they are mine--admin, mine--member, mine--outside"


def test_the_only_visible_workspace_of_a_name_is_meant(lab, clock):
    lab("operator", "POST", "instances/mine--admin/terminate", json={"confirm": "DELETE"})
    settle(lab, clock)
    assert owner_of(lab, "viewer", "mine") == "member@x.org"
    failed(lab("viewer", "GET", "instances/mine--outside"), 404, "INSTANCE_NOT_FOUND")


def test_a_repeated_termination_does_not_meet_the_workspace_of_another_person(lab, clock):
    """One's own workspace is meant as long as it is listed, also after its end."""
    order = {"confirm": "DELETE"}
    for _ in range(3):
        answer = lab("admin", "POST", "instances/mine/terminate", json=order)
        assert answer.status_code == 200, answer.text
        settle(lab, clock)
    assert lab("admin", "GET", "instances/mine").json()["state"] == "terminated"
    assert owner_of(lab, "admin", "mine") == "admin@x.org"
    assert lab("admin", "GET", "instances/mine--member").json()["state"] == "running"


def test_the_answer_of_a_waiting_request_is_about_the_named_workspace(lab):
    path = "instances/mine--member/stop?wait=0"
    answer = lab("admin", "POST", path).json()
    assert (answer["name"], answer["new_state"]) == ("mine", "stopping")
    assert lab("admin", "GET", "instances/mine").json()["state"] == "running"


def test_events_of_a_workspace_are_its_own_only(lab):
    lab("member", "POST", "instances/mine/stop")
    for caller, name, actor in (
        ("admin", "mine", "admin@x.org"),
        ("admin", "mine--member", "member@x.org"),
    ):
        entries = lab(caller, "GET", f"instances/{name}/events").json()
        assert {entry["actor"] for entry in entries} == {actor, "prism"}, name


def test_own_living_name_is_taken_and_free_after_its_end(lab, clock):
    failed(lab.launch("member", "mine", project="Reef"), 409, "NAME_TAKEN")
    lab("member", "POST", "instances/mine/terminate", json={"confirm": "DELETE"})
    settle(lab, clock)
    assert lab.launch("member", "mine", project="Reef").status_code == 201


def test_volumes_and_snapshots_belong_to_people(lab):
    for caller in ("admin", "owner"):
        order = {"type": "ebs", "name": "data", "size_gb": 1, "project": "Reef"}
        answer = lab(caller, "POST", "storage/volumes/create", json=order)
        assert answer.status_code == 201, answer.text
        assert answer.json()["full_name"] == f"data--{caller}"
        failed(lab(caller, "POST", "storage/volumes/create", json=order), 409, "ALREADY_EXISTS")
        lab.daemon.settle()
        copied = lab(caller, "POST", "snapshots", json={"name": "s", "volume": "data"})
        assert copied.status_code == 201, copied.text
        assert copied.json()["full_name"] == f"s--{caller}"
    answer = lab("operator", "GET", "storage/volumes/data")
    failed(answer, 409, "AMBIGUOUS_NAME")
    assert answer.json()["error"]["data"]["full_names"] == ["data--admin", "data--owner"]
    answer = lab("admin", "GET", "storage/volumes/data--owner").json()
    assert (answer["name"], answer["full_name"]) == ("data", "data--owner")
    assert lab("admin", "DELETE", "snapshots/s--owner").status_code == 200


def test_a_workspace_has_one_volume_of_a_name_only(lab):
    for caller in ("admin", "owner"):
        order = {"type": "ebs", "name": "data", "size_gb": 1, "project": "Reef"}
        lab(caller, "POST", "storage/volumes/create", json=order)
    lab.daemon.settle()
    attach = {"instance": "mine"}
    assert lab("admin", "POST", "storage/volumes/data/attach", json=attach).status_code == 200
    failed(lab("admin", "POST", "storage/volumes/data--owner/attach", json=attach), 409, "IN_USE")
    both = ["data--admin", "data--owner"]
    failed(lab.launch("admin", "two", project="Reef", volumes=both), 409, "IN_USE")


def test_hand_over_to_a_person_with_a_workspace_of_that_name_is_refused(lab):
    path = "projects/Reef/members/member@x.org?workspaces=hand_over&to=admin@x.org"
    failed(lab("owner", "DELETE", path), 409, "NAME_TAKEN")
    assert owner_of(lab, "admin", "mine--member") == "member@x.org"
    assert lab("owner", "GET", "projects/Reef/members/member@x.org").status_code == 200


def test_two_people_who_launch_at_once_both_get_the_name(team):
    answers = {}

    def launch(caller, number):
        answers[caller, number] = team.launch(caller, "mine").status_code

    threads = [
        threading.Thread(target=launch, args=(caller, number))
        for number in range(4)
        for caller in ("member", "admin", "owner")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for caller in ("member", "admin", "owner"):
        codes = sorted(answers[caller, number] for number in range(4))
        assert codes == [201, 409, 409, 409], caller
    with team.daemon.db.read() as sql:
        assert sql.execute(select(func.count()).select_from(workspaces)).scalar_one() == 3


def test_what_was_made_before_the_daemon_was_shared_gets_a_full_name(make_daemon):
    alone = make_daemon(user="Ada@X.org")
    http = Http(alone.app)
    order = {"name": "mine", "template": "Plain Shell"}
    assert http("POST", "/api/v1/instances/launch", json=order).status_code == 201
    assert "full_name" not in http("GET", "/api/v1/instances/mine").json()
    alone.db.close()
    shared = make_daemon(auth="tokens", user="Ada@X.org", project_creation="everybody")
    shared.give_handles()
    team = Team(shared, Http(shared.app))
    assert team("operator", "GET", "instances/mine").json()["full_name"] == "mine--ada"
    failed(team.launch("operator", "mine", project=None), 409, "NAME_TAKEN")
    assert team.launch("owner", "mine").status_code == 201


def test_handle_is_the_beginning_of_the_address_and_unique():
    assert handle_for("ada@x.org", ()) == "ada"
    assert handle_for("ada@y.org", ("ada",)) == "ada2"
    assert handle_for("Ada.M.Lovelace-King@x.org", ()) == "ada-m-lovelac"
    assert handle_for("ada.m.lovelace@y.org", ("ada-m-lovelac",)) == "ada-m-lovela2"
    assert handle_for("żółw--x@y.org", ()) == "zow-x"
    assert handle_for("山田@x.org", ("person",)) == "person2"
    taken: list[str] = []
    for number in range(120):
        taken.append(handle_for(f"{'long' * 9}@{number}.org", taken))
    assert len({*taken}) == 120 and max(map(len, taken)) == MAX_HANDLE
