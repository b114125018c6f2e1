"""Workspaces of a root daemon that can make no sandbox: each is a user of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from prism.agent.init import LANDLOCK_LEAST, landlock_version
from prism.agent.sandbox import identity
from prism.agent.sandbox.host_user import HostUser
from prism.agent.sandbox.identity import Leases
from prism.agent.system.access_lists import (
    MASK,
    OTHER,
    OWN_GROUP,
    OWNER,
    SEARCH,
    USER_TAG,
    AccessEntry,
    admits_others,
    grant_search,
    read,
    revoke_search,
    with_user,
    without_users,
)
from prism.agent.system.own_files import give
from tests.providers.local.test_life import environment

ROOT = Path(__file__).parents[3]
UID, OTHER_UID = 1879048200, 1879048201
privileged = pytest.mark.skipif(
    not identity.is_privileged(), reason="needs root: only root can take rights"
)
HIDDEN = "mount --bind /dev/null {bwrap} && exec "
FEWER = ("sys_admin", "sys_ptrace", "setpcap", "dac_read_search", "net_admin")


def without_bubblewrap(*line):
    """A command in which bubblewrap is not installed."""
    script = HIDDEN.format(bwrap=bwrap) if (bwrap := shutil.which("bwrap")) else "exec "
    return ["unshare", "-m", "sh", "-c", f'{script} "$@"', "sh", *line]


def without_capabilities(*line, names=FEWER):
    """A command as root in a container: without these capabilities."""
    dropped = ",".join(f"-{name}" for name in names)
    return ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}", *line]


def in_a_chroot(root, *line):
    """A command below another root with the same files; there no user namespace can be made."""
    script = 'mount --rbind / "$0" && exec chroot "$0" "$@"'
    return ["unshare", "-m", "sh", "-c", script, str(root), *line]


@pytest.fixture
def closed():
    """A folder that only root may enter. Other runs of pytest reset modes above `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="prism-") as name:
        yield Path(os.path.realpath(name))


def life(folder, lent):
    """What happened to two workspaces where a command like `lent` starts the daemon."""
    line = [sys.executable, "-m", "tests.providers.local.unsandboxed"]
    program = lent(*line, str(folder / "home"), str(folder / "cache"))
    done = subprocess.run(program, env=environment(Path.home()), cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@privileged
@pytest.mark.parametrize(
    ("lent", "reason"),
    [
        (without_bubblewrap, "bubblewrap is not installed"),
        (without_capabilities, "root lacks CAP_SYS_ADMIN here"),
    ],
)
def test_workspace_of_root_without_a_sandbox_is_a_user_of_its_own(closed, lent, reason):
    seen = life(closed, lent)
    among, facts = identity.UidRange.configured(), seen["facts"]
    uid = seen["uid"]
    assert among.first < uid <= among.last
    assert seen["others_uid"] not in {uid, 0}
    assert facts["uid"] == facts["gid"] == [uid] * 3
    assert (facts["groups"], seen["programs"]) == ([among.first], [uid])
    assert (facts["capabilities"], facts["new_privileges"], facts["filter"]) == (
        "0" * 16,
        "1",
        "2",
    )
    assert (facts["unshare"], facts["processes"]) == (-1, identity.MOST_PROCESSES)
    assert facts["reads"] == [], "it reads what is the daemon's or another workspace's"
    is_walled = landlock_version() >= LANDLOCK_LEAST
    assert seen["by_name"] is not is_walled, "a file in a folder that lets it pass"
    assert facts["temporary"].startswith(str(closed / "home" / "workspaces"))
    assert seen["sandbox"] == f"none: {reason}"
    [note] = [note for note in seen["notes"] if "without a sandbox" in note]
    assert reason in note
    assert (seen["port"], seen["others_port"]) == (True, False)
    assert seen["file"] == "sent more\n"
    assert seen["hibernates"] is seen["idle"] is seen["restarted"] is True
    assert seen["volumes"] == {
        "shared": "old one\ntwo\n",
        "again": "one\ntwo\n",
        "spied": True,
        "snapshot": ["x"],
        "detached": True,
        "moved": True,
    }
    assert seen["open"] == [], "a folder is open to others after the workspaces are gone"


@privileged
@pytest.mark.parametrize("missing", ["setuid", "chown"])
def test_root_that_cannot_become_another_user_starts_no_workspace_and_says_why(tmp_path, missing):
    program = f"""
from pathlib import Path
from tests.providers.local.world import World, page
from tests.waiting import eventually
world = World(Path({str(tmp_path / "home")!r}), Path({str(tmp_path / "cache")!r}))
id = world.launch(page())
print(eventually(lambda: world.machine(id).failure).message)
world.close()
"""
    line = without_capabilities(sys.executable, "-c", program, names=("sys_admin", missing))
    done = subprocess.run(
        line, env=environment(Path.home()), cwd=ROOT, capture_output=True, text=True
    )
    assert f"root lacks CAP_{missing.upper()}" in done.stdout, done.stderr
    assert "run Prism as an ordinary user" in done.stdout


@privileged
def test_packages_are_installed_where_root_can_make_no_user_namespace(closed):
    program = """
import json, os, sys
from pathlib import Path
from prism.templates.model import Template
from tests.attacks.index import Index
from tests.providers.local.test_sandbox import run
from tests.providers.local.world import World
home, index = Path(sys.argv[1]), Index()
os.environ.update(UV_DEFAULT_INDEX=f"{index.url}/simple", NO_PROXY="127.0.0.1")
index.wheel("good", {"good.py": "good = 1"})
world = World(home, home / "cache")
try:
    id = world.launched(Template(name="t", packages={"pip": ("good",)}))
    code = "import good, os; print(os.stat(good.__file__).st_uid == os.getuid() != 0)"
    print(json.dumps([*run(world, id, "python", "-c", code), world.report(id)["sandbox"]]))
finally:
    world.close()
    index.close()
"""
    (root := closed / "root").mkdir()
    line = in_a_chroot(root, sys.executable, "-c", program, str(closed / "home"))
    done = subprocess.run(
        line, env=environment(Path.home()), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    code, output, sandbox = json.loads(done.stdout)
    assert (code, output) == (0, "True\n")
    assert sandbox == "none: no user namespace can be made: Operation not permitted"


def test_access_list_of_a_mode_gets_an_entry_and_is_that_mode_again():
    plain = (AccessEntry(OWNER, 7), AccessEntry(OWN_GROUP, 0), AccessEntry(OTHER, 0))
    opened = with_user(plain, UID, SEARCH)
    assert opened == (
        AccessEntry(OWNER, 7),
        AccessEntry(USER_TAG, SEARCH, UID),
        AccessEntry(OWN_GROUP, 0),
        AccessEntry(MASK, SEARCH),
        AccessEntry(OTHER, 0),
    )
    assert without_users(opened, lambda uid: uid == UID) == plain


def test_access_list_entry_gives_nobody_else_more_than_the_mask_allowed():
    masked = (
        *(AccessEntry(OWNER, 7), AccessEntry(USER_TAG, 7, 1000), AccessEntry(OWN_GROUP, 5)),
        *(AccessEntry(MASK, 4), AccessEntry(OTHER, 0)),
    )
    opened = with_user(masked, UID, SEARCH)
    allowed = {entry.id: entry.permissions for entry in opened if entry.tag == USER_TAG}
    assert allowed == {1000: 4, UID: SEARCH}
    assert [entry.permissions for entry in opened if entry.tag == OWN_GROUP] == [4]


@privileged
def test_folder_lets_one_user_pass_and_forgets_those_whose_workspace_has_ended(closed):
    def enters(uid):
        line = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "stat", f"{closed}/known"]
        return subprocess.run(["setpriv", *line], capture_output=True).returncode == 0

    (closed / "known").touch()
    grant_search(str(closed), OTHER_UID, lambda _: False)
    assert (enters(UID), enters(OTHER_UID)) == (False, True)
    grant_search(str(closed), UID, lambda uid: uid == OTHER_UID)
    assert (enters(UID), enters(OTHER_UID)) == (True, False)
    assert not admits_others(str(closed), lambda uid: uid == UID)
    assert admits_others(str(closed), lambda uid: uid == OTHER_UID)
    revoke_search(str(closed), UID)
    assert (enters(UID), closed.stat().st_mode & 0o777) == (False, 0o700)
    folder = os.open(closed, os.O_RDONLY)
    assert not [entry for entry in read(folder) if entry.tag == USER_TAG]
    os.close(folder)


@privileged
def test_giving_a_tree_away_leaves_files_that_have_names_outside_of_it(tmp_path):
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "deep").mkdir(parents=True)
    outside.write_text("root's")
    (tree / "hard").hardlink_to(outside)
    (tree / "soft").symlink_to(outside)
    (tree / "one").touch()
    (tree / "deep" / "two").hardlink_to(tree / "one")
    (tree / "of_nobody").touch()
    os.chown(tree / "of_nobody", 65534, 65534)
    (tree / "of_before").touch()
    os.chown(tree / "of_before", OTHER_UID, OTHER_UID)
    give([str(tree)], UID, lambda owner: owner in {0, OTHER_UID})
    owners = {path.name: path.lstat().st_uid for path in [tree, outside, *tree.rglob("*")]}
    unchanged = {"outside": 0, "hard": 0, "of_nobody": 65534}
    assert (
        owners
        == dict.fromkeys(("tree", "deep", "soft", "one", "two", "of_before"), UID) | unchanged
    )


@privileged
def test_installation_that_only_root_can_read_lets_workspaces_read_it(closed):
    tree = closed / "python"
    (tree / "bin").mkdir(parents=True, mode=0o700)
    program, outside = tree / "bin" / "run", closed / "cached"
    outside.write_text("#!/bin/sh\necho ran\n")
    outside.chmod(0o700)
    program.hardlink_to(outside)  # as uv installs
    tree.chmod(0o700)
    (closed / "own").mkdir()
    user = HostUser(7, Leases(closed / "uids"))
    user.open(str(closed), [str(closed / "own")], [str(tree)], [])
    line = [f"--reuid={user.uid}", f"--regid={user.uid}", f"--groups={user.groups[-1]}"]
    done = subprocess.run(["setpriv", *line, str(program)], capture_output=True, text=True)
    user.close()
    assert (done.stdout, program.stat().st_mode & 0o007) == ("ran\n", 0), done.stderr
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", str(program)]
    assert subprocess.run(other, capture_output=True).returncode
