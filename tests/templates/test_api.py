"""Templates over HTTP, compared with the reference."""

from pathlib import Path
from urllib.parse import quote

import pytest

ROCKY = "Rocky Linux 9 + Conda Stack"


def contains(ours, theirs):
    """Whether our answer has each field of the reference with the same value."""
    return {field: ours[field] for field in theirs} == theirs


def test_list_contains_the_templates_of_the_reference(http, example):
    ours = {item["name"]: item for item in http.get("/api/v1/templates").json()}
    for theirs in example("/api/v1/templates"):
        assert contains(ours[theirs["name"]], theirs)


def test_each_template_in_the_list_has_the_fields_of_the_reference(http, example):
    model = example("/api/v1/templates")[0]
    for item in http.get("/api/v1/templates").json():
        for field, value in model.items():
            assert isinstance(item[field], type(value)), (item["name"], field)


def test_template_info_equals_the_reference(http, example):
    theirs = example("/api/v1/templates/{name}/info")
    ours = http.get(f"/api/v1/templates/{quote(ROCKY)}/info").json()
    assert contains(ours, theirs)


@pytest.mark.parametrize(
    "path",
    [
        quote(ROCKY),
        ROCKY.replace(" ", "%20"),  # a plus is not a space
        "rocky9-conda",
        "rocky9%2Dconda",
    ],
)
def test_template_name_in_a_path_can_contain_spaces_and_pluses(http, path):
    assert http.get(f"/api/v1/templates/{path}/info").json()["name"] == ROCKY


def test_template_name_in_a_path_can_contain_parentheses(http):
    name = "Python Machine Learning (Simplified)"
    for path in (quote(name), quote(name, safe="()")):
        info = http.get(f"/api/v1/templates/{path}/info").json()
        assert info["name"] == name
        assert info["dependency_chain"] == [name]


def test_template_yaml_equals_its_file(http):
    for item in http.get("/api/v1/templates").json():
        answer = http.get(f"/api/v1/templates/{item['slug']}/yaml").json()
        assert answer["name"] == item["name"]
        assert answer["source"] == "built-in"
        assert answer["yaml"].encode() == Path(answer["file"]).read_bytes()
    assert http.get("/api/v1/templates/nothing/yaml").status_code == 404


def test_validation_report_has_the_shape_of_the_reference(http, example):
    theirs = example("/api/v1/templates/validate")
    ours = http.get("/api/v1/templates/validate").json()
    for field, value in theirs.items():
        assert isinstance(ours[field], type(value))
    assert ours["errors"] == []
    assert ours["total_templates"] == ours["validated"] == len(ours["validation_results"])
    [expected] = theirs["validation_results"]
    [result] = [r for r in ours["validation_results"] if r["template"] == expected["template"]]
    assert result["status"] == expected["status"]
    assert result["issues"] == expected["issues"]
    assert result["checks_passed"] == len(result["passed"]) >= expected["checks_passed"]


def test_invalid_template_is_listed_and_its_info_answers_422_with_the_line(http, own_folder):
    own_folder.write("bad.yml", "name: Bad\nsize: Q\n")
    [item] = [i for i in http.get("/api/v1/templates").json() if i["name"] == "Bad"]
    assert (item["validation_status"], item["runs_locally"]) == ("invalid", False)
    assert item["local_reasons"] == ["must be one of XS, S, M, L, XL"]
    answer = http.get("/api/v1/templates/Bad/info")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "TEMPLATE_INVALID")
    assert "bad.yml:2: size: must be one of" in error["details"]
    report = http.get("/api/v1/templates/validate").json()
    assert report["total_templates"] == report["validated"] + 1
    assert "bad.yml:2: size" in report["errors"][0]


@pytest.mark.parametrize("word", ["nothing", "validate", "a+b", quote("ü ?"), "%00"])
def test_unknown_template_answers_404_with_the_list_command(http, word):
    answer = http.get(f"/api/v1/templates/{word}/info")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "TEMPLATE_NOT_FOUND")
    assert error["remediation"] == "See `prism template list`"


def test_template_name_with_a_slash_answers_404(http):
    answer = http.get("/api/v1/templates/a%2Fb/info")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "ENDPOINT_NOT_FOUND"


def test_template_list_answers_304_until_it_changes(http, own_folder):
    first = http.get("/api/v1/templates")
    tag = first.headers["ETag"]
    assert http.get("/api/v1/templates", headers={"If-None-Match": tag}).status_code == 304
    weak = {"If-None-Match": f'"x", W/{tag}'}
    assert http.get("/api/v1/templates", headers=weak).status_code == 304
    own_folder.write("new.yml", "name: New\n")
    again = http.get("/api/v1/templates", headers={"If-None-Match": tag})
    assert again.status_code == 200
    assert len(again.json()) == len(first.json()) + 1


def test_template_list_contains_parameters(http):
    items = {item["slug"]: item for item in http.get("/api/v1/templates").json()}
    assert items["streamlit-app"]["parameters"]["app"]["default"] == "app.py"
