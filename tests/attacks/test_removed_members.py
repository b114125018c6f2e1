"""Who leaves a project takes nothing of it along, and no older invitation brings them back."""

import pytest

from tests.shapes import failed
from tests.waiting import eventually


@pytest.fixture
def volume(team, disks):
    """A volume of Reef, and a project Den in which the member of Reef is the owner."""
    den = {"name": "Den", "members": [{"email": "member@x.org", "role": "owner"}]}
    assert team("operator", "POST", "projects", json=den).status_code == 201
    request = {"type": "efs", "name": "corals", "project": "Reef"}
    assert team("owner", "POST", "storage/volumes/create", json=request).status_code == 201
    settle(team)
    return "corals"


def settle(team):
    for _ in range(4):
        team.daemon.settle()
        team.daemon.clock.advance(seconds=3)


def show(team, path):
    answer = team("operator", "GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def state(team, name="trap"):
    return show(team, f"instances/{name}")["state"]


def holders(team):
    return show(team, "storage/volumes/corals")["attached_instances"]


def take_along(team, volume):
    """A workspace of the member in Den, with the volume, which takes an admin of both."""
    promote(team, "admin")
    assert team.launch("member", "trap", project="Den", volumes=[volume]).status_code == 201
    settle(team)
    assert holders(team) == ["trap"]


def promote(team, role):
    path = f"projects/{team.project}/members/member@x.org"
    assert team("owner", "PUT", path, json={"role": role}).status_code == 200


def remove(team):
    path = f"projects/{team.project}/members/member@x.org"
    assert team("owner", "DELETE", path).status_code == 200


def test_member_cannot_launch_elsewhere_with_a_volume_of_the_project(team, volume):
    failed(
        team.launch("member", "trap", project="Den", volumes=[volume]), 403, "PERMISSION_DENIED"
    )
    dry = team.launch("member", "trap", project="Den", volumes=[volume], dry_run=True)
    failed(dry, 403, "PERMISSION_DENIED")
    assert team.launch("member", "fine", volumes=[volume]).status_code == 201, "in its project"
    assert team.launch("member", "trap", project="Den").status_code == 201
    settle(team)
    attach = {"instance": "trap"}
    path = "storage/volumes/corals/attach"
    failed(team("member", "POST", path, json=attach), 403, "PERMISSION_DENIED")


def test_token_for_one_project_cannot_take_its_volume_to_another(team, volume):
    promote(team, "admin")
    team.token("narrow", user="member@x.org", scope="admin", project="Den")
    failed(team.launch("narrow", "trap", project="Den", volumes=[volume]), 404, "VOLUME_NOT_FOUND")


@pytest.mark.parametrize("loss", ["removed", "member", "viewer"])
def test_person_who_loses_the_right_to_a_volume_loses_the_volume(team, volume, disks, loss):
    take_along(team, volume)
    disks.faults.busy = True  # a program has a file of it open
    remove(team) if loss == "removed" else promote(team, loss)
    settle(team)
    assert state(team) == "stopped", "so that no program has it open"
    failed(team("member", "POST", "instances/trap/start"), 409, "INVALID_STATE")
    disks.faults.busy = False
    team.daemon.clock.advance(minutes=10)
    settle(team)
    assert holders(team) == []
    assert team("member", "POST", "instances/trap/start").status_code == 200
    settle(team)
    assert (state(team), holders(team)) == ("running", [])


def test_hibernated_workspace_does_not_resume_with_a_volume_that_its_owner_lost(
    team, volume, disks
):
    take_along(team, volume)
    assert team("member", "POST", "instances/trap/hibernate").status_code == 200
    settle(team)
    assert state(team) == "hibernated"
    disks.faults.busy = True
    remove(team)
    settle(team)
    for verb in ("resume", "start"):
        failed(team("member", "POST", f"instances/trap/{verb}"), 409, "INVALID_STATE")
    assert state(team) == "hibernated"


def test_person_who_keeps_the_right_keeps_the_volume(team, volume):
    take_along(team, volume)
    promote(team, "owner")
    promote(team, "admin")
    settle(team)
    assert (state(team), holders(team)) == ("running", ["trap"])
    path = f"projects/{team.project}/members/viewer@x.org"
    assert team("owner", "DELETE", path).status_code == 200, "somebody else"
    settle(team)
    assert (state(team), holders(team)) == ("running", ["trap"])


def test_admin_of_a_volume_detaches_it_by_force_from_a_workspace_of_others(team, volume, disks):
    take_along(team, volume)
    disks.faults.busy = True
    path = "storage/volumes/corals/detach"
    failed(team("viewer", "POST", path, json={"force": True}), 403, "PERMISSION_DENIED")
    failed(team("outside", "POST", path, json={"force": True}), 404, "VOLUME_NOT_FOUND")
    assert team("owner", "POST", path, json={}).status_code == 200
    settle(team)
    assert state(team) == "running", "an ordinary detachment waits"
    failed(team("owner", "POST", "instances/trap/stop"), 404, "INSTANCE_NOT_FOUND")
    assert team("owner", "POST", path, json={"force": True}).status_code == 200
    settle(team)
    disks.faults.busy = False
    team.daemon.clock.advance(minutes=10)
    settle(team)
    assert (state(team), holders(team)) == ("stopped", [])
    [why] = [event.data["reason"] for event in events(team) if event.data.get("verb") == "stop"]
    assert why == "the volume corals was detached by force"


def events(team):
    return [event for event in team.daemon.db.events_after(0) if event.event == "instance_asked"]


def test_moved_workspace_leaves_the_volume_in_its_project(team, volume):
    assert team.launch("member", "lab", volumes=[volume]).status_code == 201
    settle(team)
    assert (
        team("operator", "POST", "instances/lab/move", json={"project": "Den"}).status_code == 200
    )
    settle(team)
    assert (state(team, "lab"), holders(team)) == ("running", [])


def invite(team, role="admin"):
    answer = team.invite("owner", "eve@x.org", role=role)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize("meanwhile", ["added", "added and removed", "added and demoted"])
def test_older_invitation_does_not_bring_a_person_back(team, meanwhile):
    team.token("eve", scope="admin")
    invitation = invite(team)
    members = f"projects/{team.project}/members"
    body = {"email": "EVE@x.org", "role": "member"}
    assert team("operator", "POST", members, json=body).status_code == 201
    if meanwhile == "added and removed":
        assert team("owner", "DELETE", f"{members}/eve@x.org").status_code == 200
    if meanwhile == "added and demoted":
        change = {"role": "viewer"}
        assert team("owner", "PUT", f"{members}/eve@x.org", json=change).status_code == 200
    path = f"invitations/{invitation['id']}"
    refused = team("eve", "POST", f"{path}/accept", json={"token": invitation["token"]})
    failed(refused, 409, "INVITATION_ANSWERED")
    assert team("owner", "GET", path).json()["status"] == "revoked"


def test_member_who_was_invited_before_the_removal_needs_a_new_invitation(team):
    """Two invitations of one person, of which one was accepted."""
    team.token("eve", scope="admin")
    first = invite(team, "member")
    body = {"token": first["token"]}
    answer = team("eve", "POST", f"invitations/{first['id']}/accept", json=body)
    assert answer.status_code == 200, answer.text
    members = f"projects/{team.project}/members"
    assert team("owner", "DELETE", f"{members}/eve@x.org").status_code == 200
    failed(
        team("eve", "POST", f"invitations/{first['id']}/accept", json=body),
        409,
        "INVITATION_ANSWERED",
    )
    second = invite(team, "viewer")
    again = {"token": second["token"]}
    path = f"invitations/{second['id']}/accept"
    assert team("eve", "POST", path, json=again).status_code == 200
    assert team("eve", "GET", f"{members}/eve@x.org").json()["role"] == "viewer"


@pytest.mark.slow
def test_program_of_a_removed_member_no_longer_writes_to_the_volume(token_daemon):
    """With a real workspace, in which a program of hers has a file of the volume open."""
    operator, member = token_daemon.operator, "eve@x.org"
    reef = token_daemon.reef
    den = operator.projects.create("Den").id
    operator.members.add(den, member, role="owner")
    operator.members.add(reef, member, role="admin")
    operator.volumes.create("corals", type="efs", project=reef)
    _, token = token_daemon.token(member)
    launch = {"template": "Served", "name": "trap", "project": den, "volumes": ["corals"]}
    answer = token_daemon.ask(token, "POST", "/api/v1/instances/launch?wait=120", json=launch)
    assert answer.json()["state"] == "running", answer.text
    eventually(lambda: operator.volumes.get("corals").attached_instances == ("trap",), 60)
    write = "while date >&9; do sleep 0.05; done 9>>volumes/corals/log >/dev/null 2>&1 &"
    home = token_daemon.home
    run = home.cli("exec", "trap", "--", "sh", "-c", f"cd; ({write}); true")
    assert run.returncode == 0, run.stderr
    [log] = eventually(lambda: [*home.folder.glob("storage/volumes/*/data/log")], 60)
    eventually(lambda: log.stat().st_size)
    operator.members.remove(reef, member)
    eventually(lambda: operator.volumes.get("corals").attached_instances == (), 120)
    assert operator.workspaces.get("trap").state == "stopped"
    size = log.stat().st_size
    answer = token_daemon.ask(token, "POST", "/api/v1/instances/trap/start?wait=120")
    assert answer.status_code == 200, answer.text
    assert operator.workspaces.get("trap").state == "running"
    run = home.cli("exec", "trap", "--", "sh", "-c", "cd; ls volumes/corals/log")
    assert run.returncode != 0, run.stdout
    assert log.stat().st_size == size
    operator.workspaces.terminate("trap")
