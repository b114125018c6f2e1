"""The life of two workspaces of a root daemon that has no sandbox; prints what happened as JSON.

    python -m tests.providers.local.unsandboxed HOME CACHE

`tests/providers/local/test_without_sandbox.py` runs it where bubblewrap is missing.
"""

import json
import os
import sys
from pathlib import Path

import psutil

from prism.providers.local.files import LocalFiles
from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.model import StorageObserved, VolumeKind
from prism.storage.ports import SnapshotSpec, VolumeSpec
from prism.workspaces.idleness import IdleRule
from prism.workspaces.model import Observed
from tests.providers.local.test_sandbox import run
from tests.providers.local.world import World, page
from tests.waiting import eventually

FACTS = """
import ctypes, json, os, resource, tempfile
libc = ctypes.CDLL(None, use_errno=True)
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
def reads(path):
    try:
        return bool(os.listdir(path) if os.path.isdir(path) else open(path, "rb").read())
    except OSError:
        return False
print(json.dumps({
    "uid": os.getresuid(), "gid": os.getresgid(), "groups": os.getgroups(),
    "capabilities": status["CapEff"], "new_privileges": status["NoNewPrivs"].strip(),
    "filter": status["Seccomp"].strip(), "unshare": libc.unshare(0x10000000),
    "processes": resource.getrlimit(resource.RLIMIT_NPROC)[0],
    "temporary": tempfile.gettempdir(),
    "reads": [path for path in PATHS if reads(path)],
}))
"""


def facts(world, id, paths):
    """What a program inside says about itself, and which of these paths it can read."""
    code, output = run(world, id, "python", "-c", f"PATHS = {paths!r}\n{FACTS}")
    assert code == 0, output
    return json.loads(output)


def secrets_of(world, victim):
    """What no workspace may read: files of the home, of the daemon, and of another workspace."""
    home = world.root.parent
    (home / "env").write_text("PRISM_DATABASE_URL=secret")  # by a person, with mode 0644
    (world.root / victim / "home" / "diary").write_text("secret")
    os.chown(world.root / victim / "home" / "diary", *owner(world.root / victim / "home"))
    return [
        *(str(home), str(home / "env"), str(world.root), str(world.root / victim)),
        *(str(world.root / victim / "home"), str(world.root / victim / "home" / "diary")),
        *(str(world.root / victim / "order.json"), "/root", "/etc/shadow"),
    ]


def owner(path):
    about = os.stat(path)
    return about.st_uid, about.st_gid


def hibernates(world, id):
    """Whether its programs rest while it is hibernated, and go on with their memory after it."""
    before = {process.pid for process in world.programs(id)}
    world.compute.hibernate(id)
    world.becomes(id, Observed.ASLEEP)
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    return {process.pid for process in world.programs(id)} == before


def volumes_of(world, first, second):
    """What happens to volumes: one of its own, and one that two workspaces share."""
    volumes = LocalVolumes(world.root.parent / "storage", world.root, fresh=0)
    own = volumes.create(VolumeSpec(key="own", name="own", kind=VolumeKind.EBS)).id
    shared = volumes.create(VolumeSpec(key="shared", name="shared", kind=VolumeKind.EFS)).id
    (volumes._volumes / shared / "data" / "old").write_text("old ")
    for machine, volume, name in (
        *((first, own, "own"), (first, shared, "shared")),
        (second, shared, "shared"),
    ):
        volumes.attach(volume, machine, name)
    write = "mkdir -p volumes/shared/made && echo one > volumes/shared/made/file"
    write += " && echo > volumes/own/x"
    eventually(lambda: run(world, first, "sh", "-c", write)[0] == 0)
    add = "echo two >> volumes/shared/made/file && cat volumes/shared/old volumes/shared/made/file"
    shared_text = eventually(
        lambda: (done := run(world, second, "sh", "-c", add))[0] == 0 and done[1]
    )
    again = run(world, first, "cat", "volumes/shared/made/file")[1]
    spied = run(world, second, "ls", str(volumes._volumes / own / "data"))[0]
    copy = volumes.snapshot(SnapshotSpec(key="copy", name="copy", source="mine"), own).id
    eventually(
        lambda: [
            snapshot
            for snapshot in volumes.survey().copies
            if snapshot.id == copy and snapshot.observed is StorageObserved.THERE
        ]
    )
    home = volumes.snapshot(SnapshotSpec(key="home", name="home", source="mine"), first).id
    eventually(
        lambda: [
            snapshot
            for snapshot in volumes.survey().copies
            if snapshot.id == home and snapshot.observed is StorageObserved.THERE
        ]
    )
    volumes.detach(own, first)
    gone = eventually(lambda: run(world, first, "ls", str(volumes._volumes / own / "data"))[0])
    volumes.attach(own, second, "own")
    moved = eventually(
        lambda: run(world, second, "sh", "-c", "echo more >> volumes/own/x")[0] == 0
    )
    copied = sorted(path.name for path in (volumes._snapshots / copy / "data").iterdir())
    volumes.close()
    return {
        "shared": shared_text,
        "again": again,
        "spied": spied != 0,
        "snapshot": copied,
        "detached": gone != 0,
        "moved": moved,
    }


def files_of(world, id):
    """Whether the workspace can change a file that the daemon wrote into its home."""
    files = LocalFiles(world.root)
    writing = files.begin(id, "sent", 0, replace=False)
    writing.write(b"sent ")
    writing.finish()
    return run(world, id, "sh", "-c", "echo more >> sent && cat sent")[1]


def goes_idle(world, id):
    """Whether it is busy while a program works, and hibernates by itself once none does."""
    busy = "import time\nend = time.monotonic() + 2\nwhile time.monotonic() < end: pass"
    limits = {"cpu": 30.0, "network": 100.0, "disk": 1024.0}
    rule = IdleRule(profile="short", minutes=3, action="hibernate", limits=limits)
    world.compute.watch(id, rule)
    run(world, id, "python", "-c", busy)
    woke = world.machine(id).observed is Observed.ON
    eventually(lambda: world.machine(id).observed is Observed.ASLEEP, 60)
    measured = set(world.report(id)["idle"]["figures"])
    world.compute.watch(id, None)
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    return woke and {"cpu", "network", "disk"} <= measured


def restarted(world, id):
    """Whether it runs again after its supervisor was killed, without a process of before."""
    run(world, id, "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 </dev/null &")
    before = {process.pid for process in world.tree(id)}
    world.supervisor(id).kill()
    eventually(lambda: world.machine(id).observed is Observed.OFF, 30, (psutil.Error,))
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    return eventually(lambda: not any(map(lives, before)))


def lives(pid):
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def main(home, cache):
    """Run it all; print the answers."""
    Path(home).mkdir(mode=0o700)
    (Path(home).parent / "open").write_text("of a person, with mode 0644")
    world = World(Path(home), Path(cache), minute=1)
    try:
        victim = world.launched(page(), key="ws_2")
        secrets = secrets_of(world, victim)
        id = world.launched(page())
        report = world.report(id)
        port = report["services"]["page"]["port"]
        answer = {
            "sandbox": report["sandbox"],
            "notes": report["notes"],
            "uid": report["uid"],
            "facts": facts(world, id, secrets),
            "by_name": bool(facts(world, id, [str(Path(home).parent / "open")])["reads"]),
            "others_uid": world.report(victim)["uid"],
            "programs": sorted({process.uids().real for process in world.programs(id)}),
            "port": world.compute.address_of(id, port) is not None,
            "others_port": world.compute.address_of(victim, port) is not None,
            "file": files_of(world, id),
            "hibernates": hibernates(world, id),
            "idle": goes_idle(world, id),
            "volumes": volumes_of(world, id, victim),
            "restarted": restarted(world, id),
        }
    finally:
        world.close()
    lists = [
        folder
        for folder in (Path(home), Path(home) / "workspaces")
        if folder.stat().st_mode & 0o77
    ]
    sys.stdout.write(json.dumps({**answer, "open": [str(folder) for folder in lists]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
