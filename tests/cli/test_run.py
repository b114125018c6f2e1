"""Behaviour common to all commands: exit codes, errors, help and version."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import prism as package
from prism.cli.run import EXIT
from prism.errors import PROBLEMS
from tests.client.scripted import problem

ROOT = Path(__file__).parents[2]


def test_version_equals_the_version_of_the_package(prism):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert package.__version__ == version
    for words in (["--version"], ["version"], ["--no-wait", "version"]):
        assert prism(*words).stdout == f"prism {version}\n"
    assert json.loads(prism("version", "--json").stdout) == {"version": version}


@pytest.mark.parametrize("words", [["--help"], ["version"], ["budget", "--help"]])
def test_closed_stdout_prints_no_error(home, words):
    nobody, words_go = os.pipe()
    os.close(nobody)
    command = [Path(sys.executable).with_name("prism"), *words]
    environ = os.environ | {"PRISM_HOME": str(home)}
    done = subprocess.run(command, stdout=words_go, stderr=subprocess.PIPE, env=environ)
    os.close(words_go)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"], ["--json", "--help"]])
def test_help_needs_no_daemon(prism, words):
    done = prism(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "quickstart" in done.stdout


def test_help_of_a_command_or_noun_prints_its_usage(prism):
    assert "usage: prism workspace launch" in prism("help", "launch").stdout
    assert "usage: prism workspace launch" in prism("--help", "launch").stdout
    assert "Show every template" in prism("template", "--help").stdout


def test_help_replaces_unencodable_characters(prism):
    done = prism("--help", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert (done.returncode, "prism COMMAND ?" in done.stdout) == (0, True)


def test_refusal_is_printed_with_its_reason_and_a_hint(prism, server):
    more = {"details": "it never was", "remediation": "Use `prism workspace list`"}
    server.on("GET /instances/mine", problem(404, "INSTANCE_NOT_FOUND", "No workspace", **more))
    done = prism("workspace", "show", "mine")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: No workspace\n  it never was\nhint: Use `prism workspace list`\n"
    )


def test_usage_error_exits_with_2(prism):
    done = prism("lanch")
    assert done.returncode == 2
    assert done.stderr == (
        "error: There is no command `lanch`\nhint: Did you mean `prism launch`?\n"
    )


def test_unreachable_daemon_exits_with_3(prism):
    done = prism("list", PRISM_URL="http://127.0.0.1:1")
    assert done.returncode == 3
    assert done.stderr.startswith("error: No daemon at http://127.0.0.1:1\n")
    assert "hint: Check PRISM_URL" in done.stderr


def test_every_problem_has_an_exit_code():
    for kind in PROBLEMS.values():
        assert any(ancestor in EXIT for ancestor in kind.__mro__), kind


def test_reader_that_closes_the_pipe_early_causes_no_error(server, environ, begin_command):
    rows = [{"name": "x" * 1000, "at": n} for n in range(2000)]
    server.on("GET /profiles", rows)
    child = begin_command("profile", "list", "--json")
    child.stdout.readline()
    child.stdout.close()
    assert child.wait(120) == 0
    assert child.stderr.read() == ""


def test_errors_are_coloured_only_on_a_colour_terminal(run_on_terminal, prism, server):
    server.on("GET /profiles", problem(503, "UNAVAILABLE", "not now"))
    red = "\x1b[31;1merror:\x1b[0m not now"
    assert red in run_on_terminal("profile", "list")[1]
    assert "error: not now" in run_on_terminal("profile", "list", NO_COLOR="1")[1]
    assert "error: not now" in run_on_terminal("profile", "list", TERM="dumb")[1]
    assert prism("profile", "list").stderr == "error: not now\n"


def test_installed_command_prints_the_version(environ):
    script = Path(sys.executable).parent / "prism"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, env=environ)
    assert done.stdout == f"prism {package.__version__}\n"


def test_file_that_cannot_be_written_is_named_without_a_traceback(prism, server, tmp_path):
    server.on("GET /costs/export?format=csv", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n,")
    target = tmp_path / "missing" / "costs.csv"
    done = prism("cost", "export", "--output", str(target))
    assert done.returncode == 1
    assert done.stderr == f"error: {target}: No such file or directory\n"
