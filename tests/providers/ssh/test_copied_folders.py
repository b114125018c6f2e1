"""Folders of workspaces that somebody copied or linked on the server."""

import os
import subprocess
import time

from prism.workspaces.model import Observed
from tests.providers.ssh.conftest import LAB
from tests.providers.ssh.test_compute import ID, SPEC, becomes, compute, machine

pytestmark = LAB
__all__ = ["compute"]


def test_copy_of_a_folder_does_not_take_the_place_of_the_original(compute, lab):
    compute.launch(SPEC)
    becomes(compute, Observed.ON)
    root = lab.home / ".prism-server/workspaces"
    subprocess.run(["cp", "-a", root / ID, root / ("ssh-" + "f" * 17)], check=True)
    only = machine(compute)
    assert (only.id, only.key) == (ID, "ws_1")
    assert list(compute.found([ID, "ssh-" + "f" * 17])) == list(compute.found([ID]))


def test_folder_that_is_a_link_loses_nothing_but_what_prism_made(compute, lab, server):
    server.facts()
    thesis = lab.home / "thesis"
    draft = thesis / f".{ID}-0123abcd"
    for folder in (".git", f".{ID}", f".{ID}-0123abcd.old", draft.name):
        (thesis / folder).mkdir(parents=True)
        (thesis / folder / "chapter").write_text("mine")
    long_ago = time.time() - 10 * 86400
    for path in (thesis, *thesis.rglob("*")):
        os.chown(path, lab.uid, lab.uid)
        os.utime(path, (long_ago, long_ago))
    (lab.home / ".prism-server/workspaces").symlink_to(thesis)
    compute.survey()
    assert not draft.exists()
    left = {f"{path.parent.name}/{path.name}" for path in thesis.rglob("chapter")}
    assert left == {".git/chapter", f".{ID}/chapter", f".{ID}-0123abcd.old/chapter"}
