"""Offers to install what gives local workspaces a sandbox and a network of their own."""

from __future__ import annotations

import os
import sys

from prism.cli.output.terminal import ask, say

PACKAGES = {"bwrap": "bubblewrap", "pasta": "passt"}
INSTALLERS = {
    "apt-get": ("apt-get", "install", "--yes", "--no-install-recommends"),
    "dnf": ("dnf", "install", "-y"),
    "zypper": ("zypper", "--non-interactive", "install"),
    "pacman": ("pacman", "-S", "--noconfirm"),
    "apk": ("apk", "add"),
}
PROGRAM_FOLDERS = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
SOURCE_FILE = "scripts/debian.sh"  # in a source folder, `make` has said it


def offer_sandbox() -> None:
    """Install the missing packages if somebody agrees, else name the command in one line."""
    command = install_command()
    if command is None:
        return
    offer = f"Local workspaces get a sandbox and a network of their own with: {' '.join(command)}"
    can_ask = sys.stdin.isatty() and sys.stderr.isatty() and _path_of(command[0])
    if not can_ask:
        return say(offer)
    if ask(f"{offer}\nRun it now? [y/N] ").lower() not in {"y", "yes"}:
        return None
    import subprocess  # noqa: PLC0415  cold start: few need it

    if subprocess.run(command, stdout=2, check=False).returncode:
        say("It failed; workspaces run without it, with weaker walls")
    return None


def install_command() -> tuple[str, ...] | None:
    """The command that installs what is missing here; None if nothing is, or nobody can."""
    missing = [package for program, package in PACKAGES.items() if not _path_of(program)]
    source = os.path.join(os.path.dirname(__file__), *[os.pardir] * 4, SOURCE_FILE)
    if not missing or sys.platform != "linux" or os.path.exists(source):
        return None
    for program, words in INSTALLERS.items():
        if _path_of(program):
            return (*(() if os.geteuid() == 0 else ("sudo",)), *words, *missing)
    return None


def _path_of(program: str) -> str | None:
    paths = (os.path.join(folder, program) for folder in PROGRAM_FOLDERS)
    return next((path for path in paths if os.access(path, os.X_OK)), None)
