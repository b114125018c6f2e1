"""Project names of a shared daemon that look like others."""

CYRILLIC_REEF = "R\u0435\u0435f"
FULL_WIDTH_REEF = "Ｒｅｅｆ"


def create(team, caller, name):
    return team(caller, "POST", "projects", json={"name": name})


def test_name_like_that_of_another_project_is_refused(team):
    for name in (FULL_WIDTH_REEF, "REEF", "Reef\u3164"):
        answer = create(team, "owner", name)
        assert answer.status_code == 409, name
        error = answer.json()["error"]
        assert error["code"] == "ALREADY_EXISTS"
        assert error["message"].endswith("looks like the name of another project, 'Reef'")


def test_refusal_does_not_name_a_project_that_the_caller_cannot_see(team):
    answer = create(team, "outside", FULL_WIDTH_REEF)
    assert answer.status_code == 409
    assert "'Reef'" not in answer.text
    assert team.project not in answer.text


def test_deceptive_name_is_refused_with_its_character(team):
    for name, why in (
        (CYRILLIC_REEF, "U+0435 (CYRILLIC SMALL LETTER IE)"),
        ("Co\u200bral", "U+200B (ZERO WIDTH SPACE)"),
    ):
        answer = create(team, "owner", name)
        assert answer.status_code == 422
        assert why in answer.json()["error"]["details"]


def test_project_cannot_be_renamed_to_a_name_like_another(team):
    id = create(team, "owner", "Coral").json()["id"]
    path = f"projects/{id}"
    assert team("owner", "PUT", path, json={"name": "REEF"}).status_code == 409
    assert team("owner", "PUT", path, json={"name": "CORAL"}).status_code == 200, "its own"
    assert team("owner", "PUT", path, json={"name": "Co\u200bral"}).status_code == 422
    assert team("owner", "GET", path).json()["name"] == "CORAL"


def test_existing_deceptive_name_stays_valid(team, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr("prism.projects.service.require_honest_name", lambda *_: None)
        id = create(team, "owner", FULL_WIDTH_REEF).json()["id"]
    changed = {"name": FULL_WIDTH_REEF, "description": "new"}
    answer = team("owner", "PUT", f"projects/{id}", json=changed)
    assert answer.status_code == 200
    assert answer.json()["description"] == "new"
