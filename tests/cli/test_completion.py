"""The completion scripts of bash, zsh and fish."""

import shlex
import shutil
import subprocess
import sys

import pytest

from prism.cli.completion import tree
from prism.cli.registry import ALONE, COMMANDS, SHORTCUTS
from tests.cli.shown import workspace


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_contains_every_command(prism, shell):
    done = prism("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    for word in (*ALONE, *SHORTCUTS, *(verb for _, verb in COMMANDS), "no-wait"):
        assert word in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)


@pytest.fixture
def complete_line(prism, home, environ):
    """A function that returns what bash offers for the last of these words."""
    script, program = home / "completion", home / "bin" / "prism"
    script.write_text(prism("completion", "bash").stdout)
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m prism.cli.main "$@"\n')
    program.chmod(0o755)

    def complete(*words):
        line = " ".join(shlex.quote(word) for word in ("prism", *words))
        ask = (
            f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; "
            '"$(complete -p prism | sed "s/.*-F \\([^ ]*\\) .*/\\1/")"; echo "${COMPREPLY[@]}"'
        )
        env = environ | {"PATH": f"{program.parent}:{environ['PATH']}"}
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    return complete


def test_bash_completes_verbs_and_shells(complete_line):
    assert complete_line("workspace", "hib") == ["hibernate"]
    assert complete_line("completion", "") == ["bash", "zsh", "fish"]


def test_bash_completes_names_of_existing_resources(complete_line, server):
    server.on("GET /instances", [workspace("ada"), workspace("alan"), workspace("bob")])
    server.on("GET /templates", [{"name": "Plain Shell", "slug": "plain-shell"}])
    server.on("GET /projects", [{"name": "genomics"}])
    assert complete_line("show", "a") == ["ada", "alan"]
    assert complete_line("workspace", "show", "b") == ["bob"]
    assert complete_line("launch", "pl") == ["plain-shell"]
    assert complete_line("launch", "plain-shell", "a") == [], "a new name is not completed"
    assert complete_line("list", "--project", "g") == ["genomics"]
    assert complete_line("template", "new", "pl") == [], "a new name is not completed"
    assert complete_line("template", "new", "lab", "--inherits", "pl") == ["plain-shell"]


def test_bash_completes_only_workspaces_in_a_state_the_verb_accepts(complete_line, server):
    states = {"ada": "running", "alan": "stopped", "amy": "hibernated", "abe": "terminated"}
    server.on("GET /instances", [workspace(name, state) for name, state in states.items()])
    assert complete_line("stop", "a") == complete_line("hibernate", "a") == ["ada"]
    assert complete_line("start", "a") == ["alan", "amy"]
    assert complete_line("resume", "a") == ["amy"]
    assert (
        complete_line("terminate", "a")
        == complete_line("workspace", "terminate", "a")
        == ["ada", "alan", "amy"]
    )


def test_completion_does_not_start_a_daemon(complete_line, home):
    assert complete_line("stop", "a") == []
    assert not (home / "daemon.lock").exists()


def test_completion_tree_parses_the_arguments_of_a_command():
    arguments = tree().parse_args(["workspace", "extend", "mine", "3", "--json"])
    assert (arguments.verb, arguments.hours, arguments.json) == ("extend", 3, True)
