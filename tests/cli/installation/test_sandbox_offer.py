"""`prism quickstart` of an installation without a source folder offers to install a sandbox."""

import pytest

from prism.cli.installation import sandbox_offer
from prism.cli.installation.sandbox_offer import install_command, offer_sandbox

APT = ("apt-get", "install", "--yes", "--no-install-recommends")


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A Linux with these programs, which log that they ran, and this user."""
    monkeypatch.setattr(sandbox_offer, "PROGRAM_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(sandbox_offer, "SOURCE_FILE", "no/such/file")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def make(*programs, uid=1000, code=0):
        monkeypatch.setattr("os.geteuid", lambda: uid)
        for name in programs:
            (tmp_path / name).write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/log\nexit {code}\n')
            (tmp_path / name).chmod(0o755)
        return tmp_path / "log"

    return make


@pytest.mark.parametrize(
    ("programs", "uid", "command"),
    [
        (("apt-get",), 0, (*APT, "bubblewrap", "passt")),
        (("apt-get", "bwrap"), 1000, ("sudo", *APT, "passt")),
        (("dnf", "pasta"), 0, ("dnf", "install", "-y", "bubblewrap")),
        (("apt-get", "bwrap", "pasta"), 0, None),
        ((), 0, None),
    ],
)
def test_command_installs_what_is_missing(system, programs, uid, command):
    system(*programs, uid=uid)
    assert install_command() == command


def test_source_folder_offers_nothing_because_make_did(system, monkeypatch):
    system("apt-get")
    monkeypatch.setattr(sandbox_offer, "SOURCE_FILE", "src/prism/__init__.py")
    assert install_command() is None


def test_without_a_terminal_one_line_names_the_command(system, capsys, monkeypatch):
    log = system("apt-get", uid=0)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    offer_sandbox()
    printed = capsys.readouterr().err
    assert (printed.count("\n"), log.exists()) == (1, False)
    assert printed.endswith(f"with: {' '.join(APT)} bubblewrap passt\n")


@pytest.mark.parametrize(("answer", "runs"), [("y", True), ("", False), ("no", False)])
def test_on_a_terminal_it_is_installed_if_somebody_agrees(
    system, capsys, monkeypatch, answer, runs
):
    log = system("apt-get", uid=0, code=1)
    for stream in ("stdin", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True, raising=False)
    monkeypatch.setattr(sandbox_offer, "ask", lambda question: answer)
    offer_sandbox()
    assert log.exists() is runs
    assert ("It failed" in capsys.readouterr().err) is runs
