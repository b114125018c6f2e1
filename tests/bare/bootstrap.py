"""A bare Debian in a folder, made by debootstrap from the mirror of this computer."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.providers.aws.machine.cloudinit.debian import AUTHORITIES, KEYRING, mirror


def bootstrap(root: Path, suite: str, packages: str) -> None:
    """Make it, with the configuration of this computer's apt for downloads."""
    keyring = [f"--keyring={KEYRING}"] if KEYRING.exists() else []
    words = ["debootstrap", "--variant=minbase", *keyring, f"--include={packages}"]
    done = subprocess.run(
        [*words, suite, str(root), str(mirror())], capture_output=True, text=True
    )
    if "Failed getting release file" in done.stdout + done.stderr:
        pytest.skip(f"the mirror of this computer has no {suite}")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    for folder in ("apt.conf.d", "auth.conf.d"):
        if (source := Path("/etc/apt", folder)).exists():
            shutil.copytree(source, root / "etc/apt" / folder, dirs_exist_ok=True)
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    shutil.copy(AUTHORITIES, root / AUTHORITIES.relative_to("/"))
    (root / "etc/dpkg/dpkg.cfg.d/hasty").write_text("force-unsafe-io\n")
