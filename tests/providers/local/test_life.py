"""A real JupyterLab, as the user who runs these tests and as an ordinary user."""

import contextlib
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NOBODY = 65534
LENT = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
MINOR = f"python{sys.version_info.major}.{sys.version_info.minor}"


def environment(home):
    """The environment of a process that imports Prism and its tests, with this home."""
    paths = [ROOT, ROOT / "src", sysconfig.get_path("purelib")]
    return {
        **os.environ,
        "HOME": str(home),
        "PYTHONPATH": ":".join(map(str, paths)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextlib.contextmanager
def surroundings(user=NOBODY, place=None):
    """A home folder and an environment of a user; other users cannot enter `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="nobody", dir=place) as name:
        home = Path(name)
        os.chown(home, user, user)
        yield home, environment(home)


def walk(home, environ, cache, lent=(), python=sys.executable):
    """Run the life in its own process; return its measurements."""
    program = [*lent, "env", python, "-m", "tests.providers.local.life", home / "prism", cache]
    done = subprocess.run(program, env=environ, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def as_root_only_in_test_all(test):
    """The next test does the same as an ordinary user."""
    return pytest.mark.slow(test) if os.getuid() == 0 else test


@as_root_only_in_test_all
def test_jupyterlab_survives_hibernation_and_keeps_its_files_after_a_stop(tmp_path, package_cache):
    measured = walk(tmp_path, environment(tmp_path), package_cache)
    assert measured["uid"] == os.getuid()
    assert measured["freeze_ms"] < 2000


@pytest.mark.skipif(os.getuid() != 0, reason="the test above ran as an ordinary user")
def test_jupyterlab_of_an_ordinary_user_survives_hibernation_and_a_stop():
    with surroundings() as (home, environ):
        measured = walk(home, environ, home / "cache", LENT, python_for_all())
    assert measured["uid"] == NOBODY
    assert measured["freeze_ms"] < 2000


def python_for_all(name=MINOR, *, imports="prism, tests"):
    """A Python that an ordinary user may run; root's may be in root's home, and Prism too.

    Any Python runs a program that imports only the standard library: `python3`.
    """
    if os.geteuid() != 0:
        return sys.executable
    candidates = [sys.executable, f"/usr/local/bin/{name}", f"/usr/bin/{name}"]
    usable = next(filter(runs_as_nobody, candidates), None)
    if usable is None:
        pytest.skip(f"needs a {name} that an ordinary user may run")
    if name == MINOR and not runs_as_nobody(usable, f"import {imports}"):
        pytest.skip("needs a folder of Prism that an ordinary user may read")
    return usable


def runs_as_nobody(python, code=""):
    """Whether an ordinary user can run this code."""
    line = [*LENT, "env", python, "-c", code]
    return subprocess.run(line, env=environment("/"), capture_output=True).returncode == 0
