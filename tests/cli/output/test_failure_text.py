"""The short text of a failure."""

import pytest

from prism.cli.output.failure_text import MAX_MESSAGE_LENGTH, WHOLE, brief
from tests.cli.shown import launched, workspace

SAID = " ".join(f"Traceback line {n} of a long story" for n in range(40))
WHY = f"service lab: it ended with exit code 1. Its last output: {SAID} ModuleNotFoundError: foo"


@pytest.mark.parametrize(
    "parts",
    [
        ("mine is stopped", "", "Start it: `prism start mine`"),
        ("it failed", "a reason", ""),
    ],
)
def test_short_failure_is_unchanged(parts):
    assert brief(*parts) == parts


def test_long_failure_contains_the_end_of_the_output():
    message, details, hint = brief(f"mine is failed: {WHY}", "SERVICE_FAILED", "Try again")
    assert message == "mine is failed: service lab: it ended with exit code 1."
    assert details.startswith("…")
    assert details.endswith("ModuleNotFoundError: foo")
    assert len(details) <= MAX_MESSAGE_LENGTH + 1
    assert hint == f"Try again; {WHOLE}"


def test_long_message_is_cut_with_a_hint():
    message, _, hint = brief("x" * 1000, "", "")
    assert len(message) == MAX_MESSAGE_LENGTH
    assert hint == WHOLE.capitalize()


def test_failed_launch_prints_the_whole_failure_only_with_verbose(prism, server):
    server.on("POST /instances/launch", launched())
    failure = {"code": "SERVICE_FAILED", "message": WHY}
    server.on("GET /instances/mine", workspace("mine", "failed", failure=failure))
    short = prism("launch", "a", "mine")
    assert short.returncode == 1
    error, details, hint = short.stderr.strip().splitlines()[-3:]
    assert error == "error: mine is failed: service lab: it ended with exit code 1."
    assert details.endswith("ModuleNotFoundError: foo")
    assert "Traceback line 1 " not in short.stderr
    assert hint.startswith("hint: Try again: `prism start mine`")
    assert "`--verbose`" in hint
    whole = prism("--verbose", "launch", "a", "mine").stderr
    assert SAID in whole
    assert "`--verbose`" not in whole
