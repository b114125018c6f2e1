"""`prism gui`: open the address of the daemon, or print it."""

import json
import os

import pytest

from tests.waiting import eventually


@pytest.fixture
def daemon_lock(home):
    """The lock file of a daemon, with its address."""
    about = {"pid": os.getpid(), "port": 5, "url": "http://localhost:5"}
    (home / "daemon.lock").write_text(json.dumps(about))


def test_gui_prints_the_address_without_a_display(prism, server, daemon_lock):
    done = prism("gui")
    assert (done.returncode, done.stdout) == (0, "http://localhost:5/\n")
    assert json.loads(prism("gui", "--json").stdout) == {"url": "http://localhost:5/"}


def test_gui_opens_the_address_in_the_browser(prism, server, daemon_lock, home):
    browser = fake_browser(home / "browser", home / "opened")
    done = prism("gui", BROWSER=f"{browser} %s")
    assert (done.returncode, done.stdout) == (0, "")
    assert (home / "opened").read_text() == "http://localhost:5/\n"


def test_gui_app_opens_chromium_in_app_mode(prism, server, daemon_lock, home):
    fake_browser(home / "chromium", home / "opened")
    done = prism("gui", "--app", PATH=str(home))
    assert done.returncode == 0, done.stderr
    eventually(lambda: (home / "opened").exists() and (home / "opened").read_text())
    assert (home / "opened").read_text() == "--app=http://localhost:5/\n"


def test_gui_app_fails_without_a_suitable_browser(prism, server, daemon_lock, home):
    done = prism("gui", "--app", PATH=str(home))
    assert done.returncode == 1
    assert "No browser with an app mode" in done.stderr
    assert "`prism gui`" in done.stderr


def test_gui_rejects_a_file_address(prism, server):
    done = prism("gui", PRISM_URL="file:///etc")
    assert done.returncode != 0
    assert "file:///etc" not in done.stdout


def test_gui_fails_if_the_remote_daemon_is_unreachable(prism):
    done = prism("gui", PRISM_URL="http://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: No daemon at http://127.0.0.1:1\n"), done.stderr


def fake_browser(path, opened):
    """A fake browser that stores its argument."""
    path.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    path.chmod(0o755)
    return path
