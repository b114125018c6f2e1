"""The user ids that workspaces run as: leases, user namespaces and id-mapped mounts."""

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from prism.agent.sandbox import identity
from prism.agent.sandbox.handover import hand_over
from prism.agent.sandbox.identity import (
    Leases,
    NoIdentity,
    SandboxUser,
    TreeOwner,
    UidRange,
    user_namespace,
)
from tests.optional import not_none
from tests.waiting import eventually

privileged = pytest.mark.skipif(
    not identity.is_privileged(), reason="needs root: only root can give others' ids away"
)
TWO = UidRange(1879048192, 1879048193)
LEASE_FIRST_UID = """
import sys, time
from pathlib import Path
from prism.agent.sandbox.identity import Leases, UidRange
print(Leases(Path(sys.argv[1])).take(UidRange(1879048192, 1879048193), 0), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other_supervisor(tmp_path):
    """Another supervisor, which has the first id."""
    line = [sys.executable, "-c", LEASE_FIRST_UID, str(tmp_path / "uids")]
    pipe = subprocess.PIPE
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True) as process:
        assert not_none(process.stdout).readline() == f"{TWO.first}\n"
        yield process
        not_none(process.stdin).close()


def test_uid_is_leased_to_one_process_at_a_time(tmp_path, other_supervisor):
    ours = Leases(tmp_path / "uids")
    assert ours.take(TWO, 0) == TWO.last
    ours.give_back(TWO.last)


def test_lease_raises_when_all_uids_are_in_use(tmp_path, other_supervisor):
    with pytest.raises(NoIdentity, match="all 1 ids of PRISM_UID_RANGE are in use"):
        Leases(tmp_path / "uids").take(UidRange(TWO.first, TWO.first), 7)


def test_uid_is_released_when_its_process_is_killed(tmp_path, other_supervisor):
    other_supervisor.send_signal(signal.SIGKILL)
    other_supervisor.wait()
    assert Leases(tmp_path / "uids").take(TWO, 0) == TWO.first


@pytest.mark.parametrize("text", ["0-5", "5-4", "5", "a-b", "", "1-4294967295", "1-2-3"])
def test_uid_range_rejects_invalid_text(text):
    with pytest.raises(ValueError):
        UidRange.parse(text)


@privileged
def test_user_namespace_maps_one_id_and_forbids_nested_namespaces():
    space = user_namespace(TWO.first, TreeOwner(7, 8), closed=True)
    code = f"""
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
assert libc.setns({space}, 0x10000000) == 0
maps = [open(f"/proc/self/{{kind}}_map").read().split() for kind in ("uid", "gid")]
print(json.dumps([*maps, libc.unshare(0x10000000)]))
"""
    done = subprocess.run([sys.executable, "-c", code], pass_fds=[space], capture_output=True)
    os.close(space)
    mapped = [["7", str(TWO.first), "1"], ["8", str(TWO.first), "1"], -1]
    assert json.loads(done.stdout) == mapped, done.stderr


@privileged
def test_sandbox_user_raises_when_the_container_lacks_the_uid_range(monkeypatch, tmp_path):
    monkeypatch.setattr(identity, "uids_exist_here", lambda among: False)
    with pytest.raises(NoIdentity, match="do not exist in this container"):
        SandboxUser(0, Leases(tmp_path / "uids"))


@privileged
def test_sandbox_user_raises_and_returns_its_uid_when_ids_cannot_be_mapped(tmp_path):
    leases = Leases(tmp_path / "uids")
    user = SandboxUser(0, leases)
    with pytest.raises(NoIdentity, match=r"cannot map ids.*PRISM_HOME"):
        user.detached_mount("/proc/self")
    user.close()
    assert Leases(tmp_path / "uids").take(UidRange(user.uid, user.uid), 0) == user.uid


@privileged
def test_sandbox_user_leaves_no_child_and_no_open_descriptor_after_close(tmp_path):
    before, children = len(os.listdir("/proc/self/fd")), psutil.Process().children()
    user = SandboxUser(5, Leases(tmp_path / "uids"))
    os.close(user.detached_mount(str(tmp_path)))
    user.close()
    assert {*psutil.Process().children()} <= {*children}
    assert eventually(lambda: len(os.listdir("/proc/self/fd"))) <= before + 1  # the leases' own


@privileged
def test_hand_over_changes_the_owner_of_a_tree_and_follows_no_link(tmp_path):
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    for path in (outside, tree / "deep" / "deeper"):
        path.mkdir(parents=True)
    (tree / "deep" / "deeper" / "file").touch()
    (tree / "link").symlink_to(outside)
    foreign = tree / "foreign"
    foreign.touch()
    os.chown(foreign, 5, 5)
    hand_over(str(tree), TWO.first)
    paths = [tree, *tree.rglob("*")]
    assert {path.lstat().st_uid for path in paths if path != foreign} == {TWO.first}
    assert (foreign.stat().st_uid, outside.stat().st_uid) == (5, os.geteuid())


@privileged
def test_hand_over_completes_when_repeated_after_a_kill(tmp_path):
    for n in range(300):
        (tmp_path / "tree" / str(n) / "in").mkdir(parents=True)
    code = "import sys; from prism.agent.sandbox.handover import hand_over"
    code += "; hand_over(sys.argv[1], {})"
    line = [sys.executable, "-c", code.format(TWO.first), str(tmp_path / "tree")]
    paths = [tmp_path / "tree", *(tmp_path / "tree").rglob("*")]

    def given():
        return sum(path.lstat().st_uid == TWO.first for path in paths)

    with subprocess.Popen(line) as process:
        while not given():
            assert process.poll() is None or given()
        process.send_signal(signal.SIGKILL)
    subprocess.run(line, check=True)
    assert given() == len(paths)


@privileged
def test_sandbox_users_share_one_uid_when_ids_cannot_be_mapped(tmp_path):
    first, two = (SandboxUser(n, Leases(tmp_path / "uids"), shared=True) for n in range(2))
    assert first.uid == two.uid == UidRange.configured().first
    (tmp_path / "own").mkdir()
    os.close(first.detached_mount(str(tmp_path / "own")))
    assert (tmp_path / "own").stat().st_uid == first.uid
    with pytest.raises(NoIdentity, match="readable by all"):
        two.detached_mount(str(tmp_path), may_chown=False)
    assert tmp_path.stat().st_uid == os.geteuid()
    for user in (first, two):
        user.close()
