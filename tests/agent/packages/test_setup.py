"""Installing packages: how many installations run at once, and the codes of failures."""

import os
import subprocess
import sys
from typing import Any

import pytest

from prism.agent.packages.installation_slots import InstallSlot
from prism.agent.packages.setup import meaning
from tests.optional import not_none

FETCHING = "error: Failed to fetch: `https://x/simple/y/` cause: error sending request cause:"
TAKE_SLOT = """
import sys
from pathlib import Path
from prism.agent.packages.installation_slots import InstallSlot
with InstallSlot(Path(sys.argv[1])) as slot:
    print(slot.taken(), flush=True)
    sys.stdin.read()
"""


def test_one_installation_per_core_runs_and_a_killed_one_releases_its_slot(tmp_path):
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    argv = [sys.executable, "-c", TAKE_SLOT, tmp_path / "slots"]
    installers = [subprocess.Popen(argv, **pipes) for _ in range(not_none(os.cpu_count()))]
    assert [not_none(installer.stdout).readline() for installer in installers] == ["True\n"] * len(
        installers
    )
    with InstallSlot(tmp_path / "slots") as slot:
        assert not slot.taken()
        installers[0].kill()
        installers[0].wait()
        assert slot.taken()
    with InstallSlot(tmp_path / "slots") as slot:
        assert slot.taken(), "the slot was not released"
    for installer in installers:
        installer.communicate()


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("error: Failed to copy: No space left on device (os error 28)", "DISK_FULL"),
        ("error: Failed to fetch: `https://x/simple/y/`  dns error", "NETWORK_UNREACHABLE"),
        (
            "No solution found: because y was not found in the package registry",
            "PACKAGE_NOT_FOUND",
        ),
        ("error: Failed to parse: `y==`", "PACKAGE_NOT_FOUND"),
        (f"{FETCHING} client error (Connect) cause: tcp connect error", "NETWORK_UNREACHABLE"),
        (f"{FETCHING} invalid peer certificate: UnknownIssuer", "CERTIFICATE_UNTRUSTED"),
        (f"{FETCHING} invalid peer certificate: certificate expired: …", "CERTIFICATE_UNTRUSTED"),
        ("No CA certificates were loaded from the system", "CERTIFICATE_UNTRUSTED"),
        ("something else", "INSTALL_FAILED"),
    ],
)
def test_installer_error_has_a_code_and_a_command_that_helps(output, code):
    broken = meaning("the packages cannot be installed", output, "mine")
    assert broken.code == code
    assert broken.message.endswith(output.replace("  ", " "))
    again = " --template-again" if code == "PACKAGE_NOT_FOUND" else ""
    assert f"`prism workspace start mine{again}`" in broken.message
