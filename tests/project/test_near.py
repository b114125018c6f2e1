"""`make test-near` chooses tests by what imports what, and by their place."""

import subprocess

import pytest

from scripts import near as program
from scripts.near import MAX_IMPORTERS, changed_files, importers, near
from tests.project.tree import ROOT

RULES = "tests/project/test_rules.py"


def test_rules_are_always_run():
    assert near([]) == [RULES]


@pytest.mark.parametrize(
    ("changed", "chosen"),
    [
        ("src/prism/storage/plan.py", "tests/storage/test_plan.py"),  # by its place
        ("src/prism/kit/money.py", "tests/budgets/test_plan.py"),  # imports it
        ("src/aws_double/double.py", "tests/aws_double/test_double.py"),
        ("tests/shapes.py", "tests/project/test_parameters.py"),  # shared by tests
        ("tests/project/tree.py", "tests/project/test_words.py"),
        ("tests/kit/test_db.py", "tests/kit/test_db.py"),
        ("tests/kit/conftest.py", "tests/kit/test_db.py"),
        ("scripts/near.py", "tests/project/test_near.py"),
        ("docs/aws.md", "tests/project/test_words.py"),
    ],
)
def test_tests_of_a_changed_file_are_near(changed, chosen):
    tests = near([changed])
    assert {chosen, RULES} <= {*tests}
    assert all((ROOT / test).is_file() for test in tests)


def test_tests_of_what_imports_a_module_are_near_unless_everything_does():
    assert "prism.daemon.disk_reserve" in importers("prism.kit.database.disk_reserve")
    assert len(importers("prism.kit.database.disk_reserve")) <= MAX_IMPORTERS
    assert importers("prism.errors") == []


def test_deleted_test_is_not_run():
    assert near(["tests/kit/test_deleted.py"]) == [RULES]


def test_module_without_tests_of_its_own_gets_those_of_its_folder():
    assert "tests/kit/test_db.py" in near(["src/prism/kit/unknown.py"])


def test_changes_are_counted_from_where_the_branch_left_the_base(tmp_path, monkeypatch):
    def git(*words):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(program, "ROOT", tmp_path)
    for variable in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{variable}_NAME", "ada")
        monkeypatch.setenv(f"GIT_{variable}_EMAIL", "ada@example.org")
    git("init", "--quiet", "--initial-branch", "main")
    for branch, name in (("main", "old"), ("mine", "committed"), ("main", "of-others")):
        git("checkout", "--quiet", *(() if name == "of-others" else ("-B",)), branch)
        (tmp_path / name).touch()
        git("add", name)
        git("commit", "--quiet", "--message", name)
    git("checkout", "--quiet", "mine")
    (tmp_path / "old").write_text("changed")
    (tmp_path / "new ü").touch()
    assert changed_files("main") == ["committed", "new ü", "old"]
    assert changed_files("no-such-branch") == ["new ü", "old"]
