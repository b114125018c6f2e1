"""The checks of templates: each issue has a check, a line and a field."""

import msgspec
import pytest

from prism.catalog.model import UnknownType
from prism.idle.model import Name
from prism.templates.checks import CHECKS, spelled
from prism.templates.service import TemplateService
from prism.templates.store import TemplateFolder
from tests.templates.conftest import places

GOOD = """\
name: Good
base: debian-12
package_manager: pip
packages:
  pip: [flask]
users: [researcher]
ports: [22, 5000]
services:
  web:
    command: flask run --port {port} --name {name} --user {parameters.user}
    port: 5000
    health: /
    environment:
      TOKEN: "{token} ${SHELL}"
parameters:
  user:
    type: string
    default: ada
environment:
  DATA: "{home}/data"
post_install:
  - mkdir -p {home}/data && echo ${HOME} {parameters.user}
  - awk '{print}' /dev/null
size: S
idle_profile: standard
"""


def test_valid_template_passes_every_check(validate_text):
    result = validate_text(GOOD)
    assert result.status == "valid"
    assert result.issues == ()
    before = ("syntax", "unique", "parents", "cycle", "schema")
    assert result.passed == (*before, *CHECKS, "machine", "runs-locally")
    assert result.checks_passed == len(result.passed)


BAD = [
    # check, line and field, old, new, part of the reason
    ("name", "1: name", "name: Good", "name: a/b", "without `/`"),
    ("name", "1: name", "name: Good", 'name: " a"', "without blanks"),
    ("name", "1: name", "name: Good", 'name: "a\\nb"', "printable"),
    ("name", "1: name", "name: Good", "name: validate", "reserved"),
    ("name", "2: slug", "name: Good", "name: Good\nslug: A_B", "single hyphens"),
    ("base", "7: packages.dnf", "[flask]", "[flask]\n  apt: [git]\n  dnf: []", "rocky-9"),
    (
        "base",
        "6: packages.apt",
        "debian-12\n",
        "rocky-9\n",
        "ubuntu-24.04 or ubuntu-22.04 or debian-12, not rocky-9",
    ),
    ("base", "5: packages.apt", "base: debian-12\n", "", "not none"),
    ("packages", "3: package_manager", "manager: pip", "manager: conda", "no conda packages"),
    ("packages", "5: packages.pip[0]", "[flask]", '["--index-url x"]', "not the name"),
    ("packages", "5: packages.pip[1]", "[flask]", '[flask, " x"]', "not the name"),
    ("users", "6: users[0]", "[researcher]", "[Dr No]", "account"),
    ("services", "11: services.web.port", "    port: 5000", "    port: 5001", "template's ports"),
    ("services", "10: services.web.command", "flask run", "flask 'run", "split into words"),
    ("services", "9: services.My Web", "  web:", "  My Web:", "its name"),
    ("health", "12: services.web.health", "health: /", "health: api", "starts with /"),
    ("health", "12: services.web.health", "health: /", 'health: "/a b"', "starts with /"),
    (
        "placeholders",
        "10: services.web.command",
        "{name}",
        "{nam}",
        "known are home, name, port, token, parameters.user",
    ),
    ("placeholders", "10: services.web.command", "{parameters.user}", "{parameters.usr}", "usr"),
    ("placeholders", "14: services.web.environment.TOKEN", "{token}", "{tok}", "{tok}"),
    ("placeholders", "20: environment.DATA", '"{home}/data"', '"{port}"', "home, name, param"),
    ("placeholders", "22: post_install[0]", "mkdir -p {home}", "mkdir {token}", "{token}"),
    (
        "placeholders",
        "22: post_install[0]",
        "${HOME} {parameters.user}",
        "{parameters.u}",
        "parameters.u",
    ),
    ("environment", "14: services.web.environment.A-B", "TOKEN", "A-B", "name of a variable"),
    ("environment", "20: environment.PATH", "DATA", "PATH", "workspace's own"),
    ("environment", "20: environment.DATA", '"{home}/data"', '"a\\0b"', "zero byte"),
    ("parameters", "16: parameters.my-user", "  user:", "  my-user:", "letters, digits"),
    ("parameters", "18: parameters.user.default", "default: ada", "default: 5", "a string"),
    (
        "parameters",
        "19: parameters.user.choices[1]",
        "default: ada",
        "default: ada\n    choices: [ada, 5]",
        "a string",
    ),
    (
        "parameters",
        "18: parameters.user.default",
        "default: ada",
        "default: ada\n    choices: [bob]",
        "one of bob",
    ),
    ("parameters", "18: parameters.user.minimum", "default: ada", "minimum: 1", "means nothing"),
    ("parameters", "18: parameters.user.pattern", "default: ada", 'pattern: "["', "regular"),
    ("idle-profile", "25: idle_profile", "standard", "Very Idle", "letters, digits"),
]


@pytest.mark.parametrize(("check", "where", "old", "new", "why"), BAD)
def test_invalid_template_fails_one_check_with_line_and_field(
    validate_text, check, where, old, new, why
):
    text = GOOD.replace(old, new, 1)
    if check == "base" and "apt" not in text:
        text = text.replace("[flask]", "[flask]\n  apt: [git]", 1)
    if "my-user" in new:
        text = text.replace("{parameters.user}", "")
    result = validate_text(text)
    assert result.status == "invalid"
    issues = [*zip([issue.check for issue in result.issues], places(result), strict=True)]
    assert (check, where) in issues
    issue = result.issues[issues.index((check, where))]
    assert why in issue.message
    assert issue.level == "error"
    assert check not in result.passed
    assert {i.check for i in result.issues} == {check}


@pytest.mark.parametrize(
    ("options", "field", "why"),
    [
        ("type: integer, minimum: 2, maximum: 1", "maximum", "is less than the minimum"),
        ("type: integer, pattern: x", "pattern", "means nothing for an integer"),
        ("type: boolean, maximum: 1", "maximum", "means nothing for a boolean"),
        ("type: string, minimum: 1", "minimum", "means nothing for a string"),
    ],
)
def test_parameter_limits_must_fit_the_type(validate_text, options, field, why):
    result = validate_text(f"name: t\nparameters:\n  p: {{{options}}}\n")
    assert [issue.message for issue in result.issues] == [why]
    assert places(result) == [f"3: parameters.p.{field}"]


def test_size_without_a_machine_type_is_refused_if_a_catalog_is_given(own_folder):
    def none(instance_type, size, family):
        raise UnknownType(f"no {family} of size {size}")

    own_folder.write("a.yml", "name: a\nsize: S\nfamily: gpu\n").write(
        "b.yml", "name: b\nfamily: gpu\n"
    )
    a, b = (
        TemplateService([TemplateFolder(own_folder.path)], machines=none)
        .validate()
        .validation_results
    )
    assert (a.issues[0].check, a.issues[0].message) == ("machine", "no gpu of size S")
    assert (places(a), places(b)) == (["2: size"], ["2: family"])
    unchecked, _ = TemplateService([TemplateFolder(own_folder.path)]).validate().validation_results
    assert unchecked.status == "valid"
    assert "machine" not in unchecked.passed


@pytest.mark.parametrize("name", ["N", "Night_2", "gpu.long-1"])
def test_template_may_use_every_idle_profile_that_can_be_made(validate_text, name):
    assert msgspec.convert(name, Name) == name
    assert validate_text(f"name: t\nidle_profile: {name}\n").status == "valid"


def test_two_services_cannot_have_the_same_port(validate_text):
    result = validate_text(
        "name: t\nports: [80]\nservices:\n"
        "  a: {command: a, port: 80}\n  b: {command: b, port: 80}\n"
    )
    assert [issue.message for issue in result.issues] == ["80 is also the port of a"]
    assert places(result) == ["5: services.b.port"]


def test_blank_service_command_is_refused(validate_text):
    result = validate_text('name: t\nports: [80]\nservices: {a: {command: " ", port: 80}}')
    assert [issue.message for issue in result.issues] == ["is blank"]


def test_packages_of_several_managers_require_a_main_manager(validate_text):
    result = validate_text("name: t\npackages: {pip: [x], conda: [y]}")
    assert [issue.message for issue in result.issues] == [
        "must say which is the main one of pip, conda"
    ]


def test_token_in_a_command_line_is_a_warning(validate_text):
    result = validate_text(GOOD.replace("--name {name}", "--token {token}"))
    assert result.status == "valid"
    assert [(issue.check, issue.level) for issue in result.issues] == [("secrets", "warning")]
    assert "secrets" not in result.passed


def test_template_that_does_not_run_locally_has_a_warning(validate_text):
    result = validate_text(
        GOOD.replace("    port: 5000", "    port: 5000\n    requires: [no-such]")
    )
    assert result.status == "valid"
    assert [(issue.check, issue.level) for issue in result.issues] == [("runs-locally", "warning")]
    assert (
        validate_text(
            GOOD.replace("    port: 5000", "    port: 5000\n    requires: [there]")
        ).issues
        == ()
    )


def test_path_of_a_field_is_spelled_with_dots_and_brackets():
    assert spelled(("services", "a", "requires", 2)) == "services.a.requires[2]"
    assert spelled(()) == ""
