"""Tests whether workspaces can have a shared tree below their own changes (`overlay.py`).

That depends on the kernel, on bubblewrap and on the file system.
"""

import os
from pathlib import Path
from zlib import crc32

from prism.agent.sandbox.identity import NoIdentity, SandboxUser, is_privileged
from prism.agent.system.bind_mounts import attach_mounts, in_a_child
from prism.agent.system.overlay import bubblewrap_words, make_files_as, mount
from prism.agent.system.processes import succeeds

TRIAL = 'mkdir "$0/.prism-trial" && rmdir "$0/.prism-trial"'


def works(bwrap: str, lower: Path, folder: Path) -> bool:
    """Whether a workspace can have these two layers and write to them."""
    if is_privileged():
        return _works_for_another_user(str(lower), str(folder))
    words = [bwrap, "--unshare-user", "--ro-bind", "/", "/"]
    words += bubblewrap_words(str(lower), str(folder))
    command = [*words, "--", "/bin/sh", "-c", TRIAL, str(folder)]
    return succeeds(command, {"PATH": os.defpath})


def _works_for_another_user(lower: str, folder: str) -> bool:
    preferred = crc32(os.fsencode(folder))
    try:
        user = SandboxUser(preferred)
    except NoIdentity:
        return False
    mounts: list[tuple[str, int]] = []

    def work() -> None:
        attach_mounts(mounts)
        mount(lower, folder, user.uid)
        make_files_as(user.uid)
        os.mkdir(trial := os.path.join(folder, ".prism-trial"))
        os.rmdir(trial)

    try:
        for path in (lower, folder):
            mounts.append((path, user.detached_mount(path, may_chown=path == folder)))
        return in_a_child(work)
    except (NoIdentity, OSError):
        return False
    finally:
        for _, tree in mounts:
            os.close(tree)
        user.close()
