"""Tells tests that fail now and then from tests that fail.

    flaky.py run [ARGUMENT OF PYTEST]...    run pytest; repeat once, alone, the tests that failed
    flaky.py repeat TIMES [TEST]...         run tests many times, beside load

`run` names each test that passes when it is repeated, and does not fail because of it. It fails if
a test fails twice, if more than five fail, or if something failed that no test can repeat: a file
that cannot be imported, or a check of the whole run. The repeated tests get the same seed.

`repeat` takes the tests of `docs/flaky.md` if none is named.

pytest-rerunfailures repeats a test at once, in the same process and beside the same other tests,
which are often the cause.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "flaky.md"
TEST_ID = re.compile(r"^\| `(tests/[^`]+)` \|", re.MULTILINE)
MAX_REPEATED_TESTS = 5
REPEAT_TIMEOUT_SECONDS = 900
MESSAGE_CHARACTERS = 160
WHOLE_RUN = "WholeRunError"
"""The error of `tests/statements.py` that is about all tests of a process."""


class Outcomes(NamedTuple):
    """What a run of pytest came to."""

    exit_code: int
    passed: list[str]
    skipped: list[str]
    failed: dict[str, str]
    """By the test that failed, the first line of its first failure."""
    final: list[str]
    """What failed and cannot be repeated by running a test again."""


class OutcomeRecorder:
    """A plugin of pytest that records outcomes, in the process that hears of all tests."""

    def __init__(self) -> None:
        self.by_test: dict[str, str] = {}  # passed, skipped
        self.failed: dict[str, str] = {}
        self.final: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the outcome of one phase of a test."""
        test = without_group(report.nodeid)
        if report.failed:
            self.failed.setdefault(test, first_line(report))
            if WHOLE_RUN in report.longreprtext:
                self.final.append(f"a check of the whole run: {first_line(report)}")
        elif report.skipped or report.when == "call":
            self.by_test[test] = report.outcome

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a file that cannot be read."""
        if report.failed:
            self.final.append(f"{report.nodeid} cannot be collected")

    def outcomes(self, exit_code: int) -> Outcomes:
        """The outcomes of all tests."""
        ended = {t: outcome for t, outcome in self.by_test.items() if t not in self.failed}
        passed = [test for test, outcome in ended.items() if outcome == "passed"]
        skipped = [test for test, outcome in ended.items() if outcome == "skipped"]
        return Outcomes(exit_code, passed, skipped, self.failed, self.final)


def without_group(node: str) -> str:
    """The name of a test; xdist appends the group in which it ran, here a file or a folder."""
    test, at, group = node.rpartition("@")
    return test if at and node.startswith(group) else node


def first_line(report: pytest.TestReport) -> str:
    """What went wrong, and in which phase if it was not the test itself."""
    crash = getattr(report.longrepr, "reprcrash", None)
    message = (crash.message if crash else str(report.longrepr)).strip() or "no message"
    line = message.splitlines()[0][:MESSAGE_CHARACTERS]
    return f"in {report.when}: {line}" if report.when in {"setup", "teardown"} else line


def run_pytest(arguments: Sequence[str]) -> Outcomes:
    """Runs pytest in a process of its own; its output goes where ours goes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcomes.json"
        command = [sys.executable, __file__, "record", str(file), *arguments]
        ended = subprocess.run(command, check=False)
        if not file.exists():
            return Outcomes(ended.returncode or 3, [], [], {}, ["pytest ended too early"])
        return Outcomes(*json.loads(file.read_text()))


def record(file: Path, arguments: list[str]) -> int:
    """Runs pytest in this process and writes the outcomes into a file."""
    recorder = OutcomeRecorder()
    exit_code = int(pytest.main(arguments, plugins=[recorder]))
    file.write_text(json.dumps(recorder.outcomes(exit_code)))
    return exit_code


def say(line: str) -> None:
    """Print a line before pytest prints more."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def why_not_repeated(first: Outcomes) -> str | None:
    """Why a failed run stays failed without a second look."""
    if first.final:
        return "; ".join(dict.fromkeys(first.final))
    if first.exit_code != pytest.ExitCode.TESTS_FAILED or not first.failed:
        return f"pytest ended with {int(first.exit_code)}"
    if len(first.failed) > MAX_REPEATED_TESTS:
        count = len(first.failed)
        return f"{count} tests failed, and more than {MAX_REPEATED_TESTS} are not a coincidence"
    return None


def run(arguments: Sequence[str]) -> int:
    """Runs tests, then those that failed once more, alone."""
    seed = f"--randomly-seed={random.randrange(2**32)}"
    first = run_pytest([seed, *arguments])
    if first.exit_code == 0:
        return 0
    if reason := why_not_repeated(first):
        say(f"not repeated: {reason}")
        return first.exit_code or 1
    say(f"\nRepeating {len(first.failed)} failed tests, alone:")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as tests:
        tests.write("\n".join(first.failed))
        tests.flush()
        limit = f"--session-timeout={REPEAT_TIMEOUT_SECONDS}"
        alone = ["-q", "-m", "", "-n", "0", "--randomly-dont-reorganize", seed, limit]
        second = run_pytest([*alone, f"@{tests.name}"])
    twice = [test for test in first.failed if test not in second.passed]
    for test, message in first.failed.items():
        again = second.failed.get(test, "it did not run to its end")
        if test in twice:
            say(f"failed twice: {test} ({again})")
        else:
            say(f"flaky: {test} (first failure: {message})")
    passed = len(first.passed) + len(first.failed) - len(twice)
    # CI reads a last line of this form.
    say(f"total: {passed} passed, {len(twice)} failed, {len(first.skipped)} skipped")
    return int(bool(twice)) or second.exit_code


@contextmanager
def load() -> Iterator[None]:
    """Twice as many busy processes as there are processors."""
    busy = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(10**6))"
    command = [sys.executable, "-c", busy]
    processes = [subprocess.Popen(command) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def tests_seen(page: str) -> list[str]:
    """The tests in the first table of the page: those that are not mended."""
    return TEST_ID.findall(page.partition("## Mended")[0])


def repeat(times: int, tests: Sequence[str]) -> int:
    """Runs tests several times beside load, and counts how often each failed."""
    if not tests:
        say(f"{PAGE.name} lists no test that is not mended")
        return 0
    failures: Counter[str] = Counter()
    messages: dict[str, str] = {}
    with load():
        for _ in range(times):
            outcomes = run_pytest(["-q", "-m", "", "-n", "0", *tests])
            if outcomes.exit_code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
                return outcomes.exit_code
            failures.update({test: 0 for test in outcomes.passed})
            failures.update(outcomes.failed.keys())
            messages |= outcomes.failed
    for test, failed in sorted(failures.items()):
        last = f" (the last failure: {messages[test]})" if failed else ""
        say(f"{test}: failed {failed} of {times} times{last}")
    return int(any(failures.values()))


def main(command: str, *arguments: Any) -> int:
    """Runs one of the commands."""
    match command:
        case "record":
            return record(Path(arguments[0]), [*arguments[1:]])
        case "run":
            return run(arguments)
        case "repeat":
            return repeat(int(arguments[0]), arguments[1:] or tests_seen(PAGE.read_text()))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
