"""A real JupyterLab, as whoever runs these tests, and as an ordinary user."""

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
    """What a process needs that finds Prism and its tests, and is at home there."""
    paths = [ROOT, ROOT / "src", sysconfig.get_path("purelib")]
    return {
        **os.environ,
        "HOME": str(home),
        "PYTHONPATH": ":".join(map(str, paths)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextlib.contextmanager
def surroundings(user=NOBODY, place=None):
    """The home of a user, and his environment; nobody else enters `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="nobody", dir=place) as name:
        home = Path(name)
        os.chown(home, user, user)
        yield home, environment(home)


def walk(home, environ, cache, lent=(), python=sys.executable):
    """The life, in a process of its own; what it measured."""
    program = [*lent, "env", python, "-m", "tests.providers.local.life", home / "prism", cache]
    done = subprocess.run(program, env=environ, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def as_root_only_in_test_all(test):
    """The next test has the same life as the user whom Prism is made for."""
    return pytest.mark.slow(test) if os.getuid() == 0 else test


@as_root_only_in_test_all
def test_memory_sockets_and_jobs_survive_sleep_and_files_survive_a_stop(tmp_path, package_cache):
    measured = walk(tmp_path, environment(tmp_path), package_cache)
    assert measured["uid"] == os.getuid()
    assert measured["freeze_ms"] < 2000


@pytest.mark.skipif(os.getuid() != 0, reason="the test above ran as an ordinary user")
def test_an_ordinary_user_has_all_of_it_too():
    with surroundings() as (home, environ):
        measured = walk(home, environ, home / "cache", LENT, python_for_all())
    assert measured["uid"] == NOBODY
    assert measured["freeze_ms"] < 2000


def python_for_all():
    """A Python that an ordinary user may run: root's own may lie in his home."""
    candidates = [sys.executable, f"/usr/local/bin/{MINOR}", f"/usr/bin/{MINOR}"]
    for candidate in candidates:
        if (
            subprocess.run([*LENT, "env", candidate, "-c", ""], capture_output=True).returncode
            == 0
        ):
            return candidate
    raise AssertionError(f"no {MINOR} on this machine can be run by an ordinary user")
