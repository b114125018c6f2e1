"""Failed tests are repeated once, alone: what is excused, and what is not."""

import os
import re
import subprocess
import sys

import pytest

from scripts import flaky
from scripts.flaky import Outcomes, why_not_repeated
from tests.project.tree import ROOT
from tests.statements import WholeRunError

ANY_ROW = re.compile(r"^\| `(tests/[^`]+)` \|", re.MULTILINE)
PROGRAM = ROOT / "scripts" / "flaky.py"
CONFIG = """\
[pytest]
markers = slow
addopts = -p xdist -p pytest_randomly -p pytest_timeout -m "not slow"
"""
# How often a test ran is the size of a file, which outlasts a process of pytest.
COUNTED = """\
import os, random
from pathlib import Path
import pytest

def times(name):
    with open(name, "a") as file:
        file.write("x")
    return Path(name).stat().st_size

def test_good(): times("good")
def test_left_out(): pytest.skip("needs more")
def test_flicker(): assert times("flicker") > 1, "too early"
"""
# Each is repeated in another way.
FLICKERING = """
@pytest.fixture
def late():
    yield
    assert times("late") > 1, "still there"

def test_late(late): pass

def test_dies():
    if times("dies") == 1:
        os._exit(1)

@pytest.mark.slow
def test_seed():
    with open("seeds", "a") as file:
        print(random.random(), file=file)
    assert times("seed") > 1

@pytest.mark.parametrize("name", ["a/b c", "ada@uni"])
def test_name(name): assert name != "ada@uni" or times("name") > 1
"""
TWICE = """
def test_broken(): assert times("broken") > 9, "never"

def test_gone():
    if times("gone") > 1:
        pytest.skip("needs what is gone")
    assert False, "first"
"""
WHOLE_RUN = """
class WholeRunError(Exception): pass

@pytest.fixture(scope="session")
def database():
    yield
    if times("database") == 1:
        raise WholeRunError("a statement is refused")

def test_statement(database): pass
"""


@pytest.fixture
def run(tmp_path):
    """Runs tests in a folder of their own; returns the exit code and the lines of output."""

    def run(tests, *arguments, command="run"):
        (tmp_path / "test_it.py").write_text(COUNTED + tests)
        (tmp_path / "pytest.ini").write_text(CONFIG)
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "CI"))}
        environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # they take a second
        done = subprocess.run(
            [sys.executable, PROGRAM, command, *arguments],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout.splitlines() or done.stderr.splitlines()

    return run


def test_passing_tests_run_once_and_end_with_the_line_of_pytest(run, tmp_path):
    (tmp_path / "flicker").write_text("x")
    code, lines = run("", "-q")
    assert code == 0, lines
    assert re.match(r"2 passed, 1 skipped in ", lines[-1]), lines
    assert (tmp_path / "good").read_text() == "x"


def test_five_tests_that_pass_when_repeated_are_named_and_excused(run, tmp_path):
    code, lines = run(FLICKERING, "-q", "-n", "2", "-m", "")
    assert code == 0, lines
    flickers = sorted(line for line in lines if line.startswith("flaky: "))
    expected = [
        r"test_it.py::test_dies \(first failure: worker .* crashed .*\)",
        r"test_it.py::test_flicker \(first failure: AssertionError: too early\)",
        r"test_it.py::test_late \(first failure: in teardown: AssertionError: still there\)",
        r"test_it.py::test_name\[ada@uni\] \(first failure: .+\)",
        r"test_it.py::test_seed \(first failure: .*\b1 > 1\)",
    ]
    assert len(flickers) == len(expected), lines
    pairs = zip(expected, flickers, strict=True)
    assert all(re.fullmatch(f"flaky: {pattern}", flicker) for pattern, flicker in pairs), lines
    assert lines[-1] == "total: 7 passed, 0 failed, 1 skipped"
    assert (tmp_path / "flicker").read_text() == "xx", "a failed test is repeated once"
    assert (tmp_path / "good").read_text() == "x", "only failed tests are repeated"
    first_seed, second_seed = (tmp_path / "seeds").read_text().split()
    assert first_seed == second_seed


def test_tests_that_do_not_pass_when_repeated_fail_the_run(run):
    code, lines = run(TWICE, "-q")
    assert code == 1
    assert "failed twice: test_it.py::test_broken (AssertionError: never)" in lines
    assert "failed twice: test_it.py::test_gone (it did not run to its end)" in lines
    assert any(line.startswith("flaky: test_it.py::test_flicker ") for line in lines)
    assert lines[-1] == "total: 2 passed, 2 failed, 1 skipped"


def test_fault_of_the_whole_run_is_not_excused(run, tmp_path):
    code, lines = run(WHOLE_RUN, "-q")
    assert code == 1
    assert lines[-1].startswith("not repeated: a check of the whole run: in teardown: "), lines
    assert WholeRunError.__name__ == flaky.WHOLE_RUN
    assert (tmp_path / "database").read_text() == "x"


def test_file_that_cannot_be_imported_is_not_excused(run):
    code, lines = run("import no_such_module\n", "-q")
    assert (code, lines[-1]) == (2, "not repeated: test_it.py cannot be collected")


def failed(count):
    return {f"test_{number}": "AssertionError" for number in range(count)}


def test_more_than_five_failed_tests_are_not_repeated():
    assert why_not_repeated(Outcomes(1, [], [], failed(5), [])) is None
    reason = why_not_repeated(Outcomes(1, [], [], failed(6), []))
    assert reason == "6 tests failed, and more than 5 are not a coincidence"


@pytest.mark.parametrize("code", [*pytest.ExitCode])
def test_run_that_failed_otherwise_is_not_repeated(code):
    if code is not pytest.ExitCode.TESTS_FAILED:
        reason = why_not_repeated(Outcomes(code, [], [], failed(1), []))
        assert reason == f"pytest ended with {int(code)}"
    assert why_not_repeated(Outcomes(code, [], [], {}, [])) == f"pytest ended with {int(code)}"


def test_refused_option_keeps_the_exit_code_of_pytest(run):
    code, lines = run("", "--no-such-option")
    assert (code, lines[-1]) == (pytest.ExitCode.USAGE_ERROR, "not repeated: pytest ended with 4")


def test_repeat_counts_failures_beside_load(run):
    code, lines = run("", "2", "test_it.py", command="repeat")
    assert code == 1
    message = "AssertionError: too early"
    assert lines[-2:] == [
        f"test_it.py::test_flicker: failed 1 of 2 times (the last failure: {message})",
        "test_it.py::test_good: failed 0 of 2 times",
    ]


def test_group_of_a_test_is_no_part_of_its_name():
    file = "tests/web/test_a.py"
    assert flaky.without_group(f"{file}::test_b[x@y]@tests/web") == f"{file}::test_b[x@y]"
    assert flaky.without_group(f"{file}::test_b@{file}") == f"{file}::test_b"
    assert flaky.without_group(f"{file}::test_b[ada@uni]") == f"{file}::test_b[ada@uni]"
    assert flaky.without_group(f"{file}::test_b") == f"{file}::test_b"


def test_tests_of_the_page_exist():
    page = flaky.PAGE.read_text()
    for test in ANY_ROW.findall(page):
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(), test
    rows = "| `tests/a.py::b[c d]` | today | |\n| `tests/a.py::d` | yesterday | slow |\n"
    seen = f"# Flaky\n## Seen, not mended\n| test | seen |\n|---|---|\n{rows}## Mended\n{rows}"
    assert flaky.tests_seen(seen) == ["tests/a.py::b[c d]", "tests/a.py::d"]
    assert {*flaky.tests_seen(page)} <= {*ANY_ROW.findall(page)}
