"""The first hour on a real bare Debian: make, Python, git, certificates, and nothing else."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bare import first_hour
from tests.bare.bootstrap import bootstrap
from tests.bare.source import pack_source
from tests.disks import mounted
from tests.providers.aws.machine.cloudinit.debian import lacking

PACKAGES = "make,python3,git,ca-certificates"
UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount"]
PERSON = 61234  # nobody of this computer has it, so no other program ends its processes
# In namespaces of its own, so that it ends with all that it has started.
ENTER = """
mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/run" &&
exec chroot --userspec="$1" "$0" env -i HOME="$2" TEST_MATERIAL=/material LANG=C.UTF-8 \\
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    python3 -I -S /material/first_hour.py bare
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),  # debootstrap, npm and all downloads
    pytest.mark.skipif(bool(lacking()), reason=lacking() or "one can be made"),
]


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def bare_debian(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A fresh root, with the configuration of this computer's apt for downloads."""
    with tempfile.TemporaryDirectory(prefix="prism-debian-", dir="/var/tmp") as name:
        root = Path(name) / "root"
        bootstrap(root, request.param, PACKAGES)
        (root / "material").mkdir(mode=0o755)
        pack_source(root / "material/source.tar", with_gui=False)
        shutil.copy(first_hour.__file__, root / "material")
        with (root / "etc/passwd").open("a") as file:
            file.write(f"ada:x:{PERSON}:{PERSON}::/home/ada:/bin/bash\n")
        (root / "home/ada").mkdir(mode=0o700)
        os.chown(root / "home/ada", PERSON, PERSON)
        yield root


@pytest.mark.parametrize("user", ["root", "ada"])
def test_first_hour_on_a_bare_debian(bare_debian, user):
    uid, home = (0, "/root") if user == "root" else (PERSON, f"/home/{user}")
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(
            tempfile.TemporaryDirectory(prefix=f"{user}-", dir=bare_debian.parent)
        )
        for part in ("upper", "work", "root"):
            (Path(name) / part).mkdir(mode=0o755)
        layers = f"lowerdir={bare_debian},upperdir={name}/upper,workdir={name}/work"
        root = stack.enter_context(mounted(f"{name}/root", layers, "overlay"))
        argv = [*UNSHARE, "bash", "-c", ENTER, root, f"{uid}:{uid}", home]
        done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-6000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert {*seen.pop("programs")} <= {"apt-get", "bwrap", "pasta"}
    inside = seen.pop("user")
    assert inside == uid if uid else inside != 0
    # Root gets the sandbox by apt; an ordinary user is told the command.
    assert seen.pop("sandbox") is (uid == 0)
    assert not (seen.pop("database") and uid == 0), "the workspace reads what is not its own"
    answers = {"address": True, "lab": True, "file": "kept", "gui": True}
    assert seen == answers | {"states": ["hibernated", "running"]}
