"""A folder of templates from a stranger, such as a clone of a repository."""

import os

import pytest

from prism.errors import ValidationFailed
from prism.templates.document import DEEPEST
from prism.templates.patterns import mismatch
from prism.templates.plan import parameters_for
from prism.templates.service import TemplateService
from prism.templates.store import TemplateFolder

PARAMETER = (
    "name: hostile\nparameters: {p: {type: string, default: DEFAULT, pattern: 'PATTERN'}}\n"
)
BACKTRACKING = "(a|aa)+b"  # 2 to the power of 60 ways to read 60 times `a`
SECRET = "hunter2: nobody may see this"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "honest.yml").write_text("name: honest\n")
    return folder


def messages_of_the_hostile_file(folder):
    """What the check of the templates says; the honest one is valid all the same."""
    results = TemplateService([TemplateFolder(folder)]).validate().validation_results
    [honest] = [result for result in results if result.template == "honest"]
    [hostile] = [result for result in results if result.template != "honest"]
    assert honest.status == "valid"
    return [issue.message for issue in hostile.issues if issue.level == "error"]


def test_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / "hostile.yml")
    [message] = messages_of_the_hostile_file(folder)
    assert "it is a pipe, a socket or a device" in message


def test_device_that_never_ends_is_not_read(folder):
    (folder / "hostile.yml").symlink_to("/dev/zero")
    [message] = messages_of_the_hostile_file(folder)
    assert "leads out of the folder" in message


def test_large_file_is_read_up_to_the_limit_only(folder):
    with open(folder / "hostile.yml", "wb") as file:
        file.truncate(1 << 40)  # sparse: more than the memory
    assert messages_of_the_hostile_file(folder) == ["larger than 256 KiB"]


@pytest.mark.parametrize("target", ["../env", "{home}/env"])
def test_link_out_of_the_folder_shows_nothing_of_its_target(folder, target):
    (folder.parent / "env").write_text(f"{SECRET}\n")
    (folder / "hostile.yml").symlink_to(target.format(home=folder.parent))
    service = TemplateService([TemplateFolder(folder)])
    report = service.validate()
    assert len(report.errors) == 1
    assert "hunter2" not in repr(report)
    assert service.yaml("hostile").yaml == ""


def test_link_within_the_folder_and_a_folder_behind_a_link_are_read(folder):
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").write_text("name: linked\n")
    (folder / "linked.yml").symlink_to("texts/a.txt")
    other = folder.parent / "other"
    other.symlink_to(folder)
    for place in (folder, other):
        names = [item.name for item in TemplateService([TemplateFolder(place)]).items()]
        assert names == ["honest", "linked"]


@pytest.mark.parametrize(
    "text",
    [
        "name: hostile\ndescription: " + "[" * 900 + "]" * 900,
        "name: hostile\nservices: " + "{a: " * 900 + "1" + "}" * 900,
        "name: hostile\ndescription: " + "[" * DEEPEST + "]" * DEEPEST,
    ],
    ids=["lists", "mappings", "first that is too deep"],
)
def test_deep_nesting_affects_its_file_only(folder, text):
    (folder / "hostile.yml").write_text(text)
    assert messages_of_the_hostile_file(folder) == ["nested more than 20 levels deep"]


@pytest.mark.parametrize(
    "pattern",
    ["(" * 5000 + ")" * 5000, "a{99999999999999999999}", "["],
    ids=["deep", "big", "bad"],
)
def test_pattern_that_cannot_be_compiled_affects_its_file_only(folder, pattern):
    text = PARAMETER.replace("DEFAULT", "x").replace("PATTERN", pattern)
    (folder / "hostile.yml").write_text(text)
    [message] = messages_of_the_hostile_file(folder)
    assert message.startswith("is not a regular expression: ")


def test_pattern_that_would_need_years_for_a_default_affects_its_file_only(folder):
    text = PARAMETER.replace("DEFAULT", "a" * 60).replace("PATTERN", BACKTRACKING)
    (folder / "hostile.yml").write_text(text)
    assert messages_of_the_hostile_file(folder) == [
        f"cannot be compared with {BACKTRACKING} in a second"
    ]


@pytest.mark.parametrize("times", [60, 61])  # 61: an answer for 60 may be remembered
def test_launch_with_a_value_for_a_careless_pattern_is_refused_in_time(folder, times):
    text = PARAMETER.replace("DEFAULT", "ab").replace("PATTERN", BACKTRACKING)
    (folder / "hostile.yml").write_text(text)
    careless = TemplateService([TemplateFolder(folder)]).named("hostile")
    assert parameters_for(careless, {"p": "aab"}) == {"p": "aab"}
    with pytest.raises(ValidationFailed) as refused:
        parameters_for(careless, {"p": "a" * times})
    assert "cannot be compared" in str(refused.value.details)


def test_comparison_has_no_effect_but_its_answer():
    assert mismatch(r"[\w ]+", "ä b\u2028".strip()) == ""
    assert mismatch("a", "b") == "must match a"
    assert mismatch("a", "a\n") == "must match a"
