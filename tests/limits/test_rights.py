"""Who may set which limit, and what limits of tokens count."""

from tests.shapes import failed


def put(team, caller, **fields):
    return team(caller, "PUT", "limits", json=fields)


def test_only_the_operator_limits_everywhere(team):
    failed(put(team, "owner", person="member@x.org", workspaces=1), 403, "PERMISSION_DENIED")
    failed(put(team, "admin", role="member", project="Reef", gpus=1), 403, "PERMISSION_DENIED")
    failed(put(team, "outside", person="a@x", project="Reef", gpus=1), 404, "PROJECT_NOT_FOUND")
    assert put(team, "operator", person="member@x.org", workspaces=1).status_code == 200
    answer = put(team, "owner", role="member", project="Reef", workspaces=5)
    assert answer.status_code == 200
    assert answer.json()["by_operator"] is False
    failed(team("owner", "GET", "limits"), 403, "PERMISSION_DENIED")
    listed = team("owner", "GET", "limits?project=Reef").json()["limits"]
    assert [row["subject"] for row in listed] == ["member"]
    assert team("operator", "GET", "limits").json()["count"] == 2


def test_an_owner_neither_raises_nor_removes_what_the_operator_set(team):
    row = put(team, "operator", role="member", project="Reef", workspaces=0).json()
    for fields in ({"role": "member"}, {"person": "member@x.org"}):
        assert put(team, "owner", **fields, project="Reef", workspaces=9).status_code == 200
    failed(team("owner", "DELETE", f"limits/{row['id']}?project=Reef"), 404, "LIMIT_NOT_FOUND")
    failed(team.launch("member", "shell"), 403, "LIMIT_REACHED")
    for limit in team("owner", "GET", "limits?project=Reef").json()["limits"]:
        if not limit["by_operator"]:
            path = f"limits/{limit['id']}?project=Reef"
            assert team("owner", "DELETE", path).status_code == 200
    assert team("operator", "DELETE", f"limits/{row['id']}").status_code == 200
    assert team.launch("member", "shell").status_code == 201


def test_an_owner_of_another_project_removes_nothing_here(team):
    row = put(team, "owner", role="member", project="Reef", workspaces=1).json()
    team("outside", "POST", "projects", json={"name": "Tide"})
    failed(team("outside", "DELETE", f"limits/{row['id']}?project=Tide"), 404, "LIMIT_NOT_FOUND")
    failed(team("outside", "DELETE", f"limits/{row['id']}"), 403, "PERMISSION_DENIED")


def test_everybody_sees_their_own_limits_and_no_others(team):
    put(team, "operator", person="member@x.org", workspaces=2)
    put(team, "operator", person="admin@x.org", workspaces=7)
    put(team, "owner", role="member", project="Reef", gpus=1)
    own = team("member", "GET", "limits/mine").json()
    assert own["person"] == "member@x.org"
    assert [(use["limit"]["scope"], use["limit"]["workspaces"]) for use in own["limits"]] == [
        ("person", 2),
        ("role", None),
    ]
    assert team("outside", "GET", "limits/mine").json()["limits"] == []


def test_a_token_and_what_it_makes_share_its_limit(priced_team):
    team = priced_team
    first = team.token("bot", user="member@x.org", scope="admin")
    assert put(team, "operator", token=first.id, workspaces=1).status_code == 200
    child = team("bot", "POST", "tokens", json={"name": "child", "scope": "admin"}).json()
    team.tokens["child"] = child["token"]
    assert team.launch("child", "a").status_code == 201
    for caller in ("bot", "child"):
        refused = failed(team.launch(caller, "b"), 403, "LIMIT_REACHED")
        assert refused["message"] == "The limit of token 'bot' is 1 workspaces at once"
    assert team.launch("member", "b").status_code == 201, "another token of the same person"
    team.daemon.settle()
    assert team("member", "POST", "instances/b/stop").status_code == 200
    team.daemon.settle()
    failed(team("child", "POST", "instances/b/start"), 403, "LIMIT_REACHED")
    [use] = team("child", "GET", "limits/mine").json()["limits"]
    assert use["workspaces_running"] == 1


def test_limit_of_a_role_counts_for_who_is_invited_to_have_it(priced_team):
    """An admin could launch without end for people who never come, and enters all of it."""
    team = priced_team
    assert put(team, "owner", role="member", project="Reef", workspaces=1).status_code == 200
    assert team.invite(email="ghost@x.org").status_code == 201
    assert team.launch("admin", "a", owner="ghost@x.org").status_code == 201
    failed(team.launch("admin", "b", owner="ghost@x.org"), 403, "LIMIT_REACHED")
    [invitation] = team("admin", "GET", f"invitations/project/{team.project}").json()[
        "invitations"
    ]
    assert team("admin", "DELETE", f"invitations/{invitation['id']}").status_code == 200
    team.daemon.settle()
    assert team("admin", "POST", "instances/a/stop").status_code == 200
    team.daemon.settle()
    assert put(team, "owner", role="member", project="Reef", workspaces=0).status_code == 200
    failed(team("admin", "POST", "instances/a/start"), 403, "LIMIT_REACHED")


def test_request_names_one_subject(team):
    failed(put(team, "operator", workspaces=1), 422, "VALIDATION_FAILED")
    failed(put(team, "operator", person="a@x", role="member", gpus=1), 422, "VALIDATION_FAILED")
    failed(put(team, "operator", token="tok_none", gpus=1), 404, "TOKEN_NOT_FOUND")
    failed(put(team, "operator", person="a@x"), 422, "VALIDATION_FAILED")
    token = team.token("t").id
    failed(put(team, "operator", token=token, project="Reef", gpus=1), 422, "VALIDATION_FAILED")


def test_what_an_admin_launches_for_others_counts_against_her_own_limits(priced_team):
    team = priced_team
    assert put(team, "operator", person="admin@x.org", workspaces=1).status_code == 200
    assert team.launch("admin", "a", owner="member@x.org").status_code == 201
    refused = failed(team.launch("admin", "b", owner="member@x.org"), 403, "LIMIT_REACHED")
    assert refused["message"] == "The limit of admin@x.org is 1 workspaces at once"
    failed(team.launch("admin", "b"), 403, "LIMIT_REACHED")
    assert team.launch("member", "b").status_code == 201, "nobody has limited the member"
    [use] = team("admin", "GET", "limits/mine").json()["limits"]
    assert use["workspaces_running"] == 1
    row = team("member", "GET", "instances/a").json()
    assert (row["owner"], row["launched_by"]) == ("member@x.org", "admin@x.org")
    team.daemon.settle()
    assert team("member", "POST", "instances/a/stop").status_code == 200
    team.daemon.settle()
    assert team.launch("admin", "c").status_code == 201
    failed(team("member", "POST", "instances/a/start"), 403, "LIMIT_REACHED")


def test_limit_of_the_launchers_role_counts_and_a_default_for_everybody_does_not(priced_team):
    team = priced_team
    assert put(team, "operator", person="*", workspaces=1).status_code == 200
    assert team.launch("admin", "a", owner="member@x.org").status_code == 201
    assert team.launch("admin", "b", owner="owner@x.org").status_code == 201, "as in a class"
    failed(team.launch("admin", "c", owner="owner@x.org"), 403, "LIMIT_REACHED")
    assert put(team, "owner", role="admin", project="Reef", workspaces=2).status_code == 200
    failed(team.launch("admin", "c"), 403, "LIMIT_REACHED")


def test_dollars_of_what_an_admin_launched_for_others_count_for_both(priced_team):
    team = priced_team
    for person in ("admin@x.org", "member@x.org"):
        assert put(team, "operator", person=person, monthly=2.5).status_code == 200
    assert team.launch("admin", "a", owner="member@x.org", ttl_hours=20).status_code == 201
    failed(team.launch("admin", "b", ttl_hours=20), 403, "BUDGET_EXCEEDED")
    failed(team.launch("member", "b", ttl_hours=20), 403, "BUDGET_EXCEEDED")
    reserved = [
        team(person, "GET", "limits/mine").json()["limits"][0]["reserved"]
        for person in ("admin", "member")
    ]
    assert reserved[0] == reserved[1] > 0.05


def test_a_workspace_that_is_handed_over_counts_for_its_new_owner_alone(priced_team):
    team = priced_team
    assert put(team, "operator", person="admin@x.org", workspaces=1).status_code == 200
    assert team.launch("admin", "a", owner="member@x.org").status_code == 201
    left = team(
        "owner",
        "DELETE",
        f"projects/{team.project}/members/member@x.org?workspaces=hand_over&to=owner@x.org",
    )
    assert left.status_code == 200, left.text
    assert team("owner", "GET", "instances/a").json()["launched_by"] is None
    assert team.launch("admin", "b").status_code == 201
