"""The mutants of `make mutants` each change one thing, and are the same for the same seed."""

import importlib.util
import sys
from functools import cache

import pytest

from tests.project.tree import ROOT

CASES = {
    "a < b": ["(a <= b)"],
    "a and b": ["(a or b)"],
    "not a": ["a"],
    "x = True": ["x = False"],
    "x = 4": ["x = 5"],
    "{a, b}": ["({b})", "({a})"],
    "{1: a, 2: b}": ["{2: a, 2: b}", "{1: a, 3: b}", "{1: b, 2: b}", "{1: a, 2: a}"],
    "def f():\n    return a": ["def f():\n    return None"],
    "def f():\n    raise a": ["def f():\n    pass"],
    "def f():\n    a.b = c": ["def f():\n    pass"],
    "def f(a: Literal[3]) -> None: ...": [],
    "a if f() else b": ["a if (not f()) else b"],
    '"é" == a + b': ["('é' != a + b)", '"é" == (a - b)'],
}


@pytest.fixture(scope="module")
def mutants():
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "scripts" / "mutants.py")
    assert spec
    assert spec.loader
    sys.modules["mutants"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["mutants"]


@pytest.mark.parametrize("text", CASES)
def test_each_mutant_changes_one_thing(mutants, tmp_path, text):
    (file := tmp_path / "code.py").write_text(text, encoding="utf-8")
    assert sorted(mutant.text for mutant in mutants.mutants(file)) == sorted(CASES[text])


def test_same_seed_samples_the_same_mutants(mutants, monkeypatch):
    monkeypatch.setattr(mutants, "mutants", cache(mutants.mutants))
    monkeypatch.setattr(mutants, "compiles", lambda text: True)  # of thousands of texts
    first, two, other = (
        mutants.sampled(mutants.Options(3, seed, 1, 1, 1, [])) for seed in (1, 1, 2)
    )
    assert first == two != other
    packages = "access budgets connections kit workspaces storage recovery agent"
    assert {mutants.package_of(mutant.file).split("/")[0] for mutant in first} == {
        *packages.split()
    }


def test_every_mutated_file_has_tests_that_exist(mutants):
    files = [mutants.PACKAGE / name for name in mutants.ALONE]
    files += [file for folder in mutants.WHOLE for file in (mutants.PACKAGE / folder).glob("*.py")]
    named = {test for file in files for test in mutants.tests_of(file)}
    assert "tests/agent/idle/test_verdict.py" in named
    assert [name for name in named if not (mutants.ROOT / name).exists()] == []
