"""Tests that lack something are skipped outside CI, and a table says for want of what."""

import os
import shutil
import subprocess
import sys

import pytest

from tests import needs
from tests.optional import not_none
from tests.project.tree import ROOT

TESTS = """\
import pytest
from tests.needs import pytest_runtest_setup, pytest_terminal_summary, require

@pytest.fixture
def slow_fixture():
    raise AssertionError("made before the mark was read")

@pytest.mark.needs("initdb", "bwrap")
def test_marked(slow_fixture): pass

@pytest.mark.parametrize("n", range(2))
def test_required(n): require("bwrap")

@pytest.mark.skipif(True, reason="needs root: it mounts a small disk")
def test_mounts(): pass

@pytest.mark.skip(reason="the other way is tried")
def test_other_way(): pass

def test_runs(): pass
"""


def run_tests(folder, **environ):
    """Runs the tests where no program is on PATH; returns the exit code and the lines."""
    (folder / "conftest.py").write_text(TESTS.partition("@")[0])
    (folder / "test_it.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = needs\n")
    program = (
        "import sys, pytest\nfrom tests import needs\n"
        "needs.find = lambda program: None\n"
        "sys.exit(pytest.main(['-q', sys.argv[1]]))"
    )
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "CI"))}
    settings = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, folder],
        cwd=folder,
        env=inherited | settings | environ,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout.splitlines()


def test_run_that_lacks_programs_passes_and_ends_with_a_table(tmp_path):
    code, lines = run_tests(tmp_path)
    assert code == 0, lines
    start = next(at for at, line in enumerate(lines) if " skipped for want of " in line)
    assert lines[start + 1 :] == [
        "    2  bubblewrap",
        "    1  postgresql, bubblewrap",
        "    1  root",
        "       and for other reasons:",
        "    1  the other way is tried",
        lines[-1],
    ]
    assert lines[-1].startswith("1 passed, 5 skipped in ")


def test_missing_program_fails_a_test_in_ci(tmp_path):
    code, lines = run_tests(tmp_path, CI="true")
    assert code == 1
    assert any("needs postgresql, bubblewrap, which CI installs" in line for line in lines)
    assert "2 failed, 1 passed" in lines[-1] or "3 failed, 1 passed" in lines[-1], lines


def test_programs_for_administrators_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert needs.find("nologin"), "it is in /usr/sbin, which no ordinary user has on PATH"
    assert needs.find("no-such-program") is None


@pytest.mark.parametrize(("uid", "code"), [("1000", 0), ("0", 2)])
def test_only_root_needs_every_package(tmp_path, uid, code):
    """`make debian` comes before the tests; here it has no program and no `apt-get`."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "debian.sh", tmp_path / "scripts")
    (tmp_path / "id").write_text(f"#!/bin/sh\necho {uid}\n")
    (tmp_path / "id").chmod(0o755)
    for program in ("bash", "env"):
        (tmp_path / program).symlink_to(not_none(shutil.which(program)))
    done = subprocess.run(
        [not_none(shutil.which("make")), "-s", "debian", "POSTGRES="],
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    assert "hint: sudo apt-get install postgresql openssh-client bubblewrap" in done.stderr
    assert ("are skipped" in done.stdout) == (code == 0)


def test_make_installs_every_package_that_a_test_needs():
    recipe = (ROOT / "Makefile").read_text().partition("\ndebian:\n")[2].partition("\n\n")[0]
    assert set(needs.PACKAGES.values()) <= set(recipe.replace("|", " ").replace("'", " ").split())


def test_restic_that_is_too_old_is_a_missing_one(tmp_path, monkeypatch):
    program = tmp_path / "restic"
    program.write_text("#!/bin/sh\necho restic 0.14.0 compiled with go1.19\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(needs, "restic_failure", needs.restic_failure.__wrapped__)
    with pytest.raises(pytest.skip.Exception, match=r"restic 0\.14 is installed"):
        needs.require("restic")
