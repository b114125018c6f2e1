"""Opening the GUI: the address of the daemon that answers, by whatever shows it."""

import json
import os

import pytest

from tests.waiting import eventually


@pytest.fixture
def daemon_lock(home):
    """A daemon that wrote down where it listens."""
    about = {"pid": os.getpid(), "port": 5, "url": "http://localhost:5"}
    (home / "daemon.lock").write_text(json.dumps(about))


def test_without_a_display_the_address_is_printed(prism, server, daemon_lock):
    done = prism("gui")
    assert (done.returncode, done.stdout) == (0, "http://localhost:5/\n")
    assert json.loads(prism("gui", "--json").stdout) == {"url": "http://localhost:5/"}


def test_a_browser_gets_the_address(prism, server, daemon_lock, home):
    browser = program(home / "browser", home / "opened")
    done = prism("gui", BROWSER=f"{browser} %s")
    assert (done.returncode, done.stdout) == (0, "")
    assert (home / "opened").read_text() == "http://localhost:5/\n"


def test_app_mode_opens_a_window_without_tabs(prism, server, daemon_lock, home):
    program(home / "chromium", home / "opened")
    done = prism("gui", "--app", PATH=str(home))
    assert done.returncode == 0, done.stderr
    eventually(lambda: (home / "opened").exists() and (home / "opened").read_text())
    assert (home / "opened").read_text() == "--app=http://localhost:5/\n"


def test_no_browser_with_an_app_mode(prism, server, daemon_lock, home):
    done = prism("gui", "--app", PATH=str(home))
    assert done.returncode == 1
    assert "No browser with an app mode" in done.stderr
    assert "`prism gui`" in done.stderr


def test_a_daemon_elsewhere(prism, server):
    done = prism("gui", PRISM_URL="file:///etc")
    assert done.returncode != 0
    assert "file:///etc" not in done.stdout


def test_no_daemon_answers_elsewhere(prism):
    done = prism("gui", PRISM_URL="http://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: No daemon at http://127.0.0.1:1\n"), done.stderr


def program(path, opened):
    """A program that writes down what it was to open."""
    path.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    path.chmod(0o755)
    return path
