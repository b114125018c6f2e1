"""A workspace that races against the attaching and detaching of its volumes."""

import os
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.model import VolumeKind
from prism.storage.ports import VolumeSpec
from tests.attacks.compiled import attacking, compile_hostile
from tests.providers.local.test_sandbox import run
from tests.providers.local.world import page
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("bwrap") or os.geteuid() != 0,
    reason="needs root: only root brings volumes into a sandbox that is closed",
)
TIMES = 12


def can_list(world, machine, path):
    return run(world, machine, "ls", path)[0] == 0


def cannot_list(world, machine, path):
    return run(world, machine, "ls", path)[0] != 0


def test_workspace_cannot_intrude_into_the_volumes_folder_while_volumes_attach(world):
    volumes = LocalVolumes(world.root.parent / "storage", world.root, fresh=0)
    machine = world.launched(page())
    program = compile_hostile(world.root / machine / "home")
    place = world.root.parent / "storage" / "volumes"
    with tempfile.TemporaryDirectory(prefix="prism-victim-", dir="/opt") as victim:
        attack = ("intrude", place, victim)
        with attacking(world.root / machine, program, attack, attack) as intruders:
            for n in range(TIMES):
                kind = VolumeSpec(key=f"volume_{n}", name=f"v{n}", kind=VolumeKind.EFS)
                own = volumes.create(kind).id
                seen = str(place / own / "data" / "file")
                (place / own / "data" / "file").touch()
                volumes.attach(own, machine, f"v{n}")
                eventually(partial(can_list, world, machine, seen))
                volumes.detach(own, machine)
                eventually(partial(cannot_list, world, machine, seen))
            assert [intruder.found for intruder in intruders] == [[], []]
        for path in (place, victim, "/opt"):
            assert run(world, machine, "touch", f"{path}/attacked")[0] != 0
        assert (os.listdir(victim), Path("/opt/attacked").exists()) == ([], False)
    volumes.close()
