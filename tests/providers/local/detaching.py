"""Detaches a volume from a running machine, as the user who runs this.

    python -m tests.providers.local.detaching HOME CACHE

It prints the result as JSON.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from prism.providers.local.storage.volumes import LocalVolumes
from prism.storage.model import VolumeKind
from prism.storage.ports import StorageRefused, VolumeSpec
from prism.workspaces.model import Observed
from tests.providers.local.world import World, page
from tests.waiting import eventually

ORDER = VolumeSpec(key="volume_1", name="data", kind=VolumeKind.EBS, size_gb=10)


def main(home: Path, cache: Path) -> None:
    home.mkdir()
    world = World(home, cache)
    volumes = LocalVolumes(home / "storage", world.root, fresh=0)
    try:
        sys.stdout.write(json.dumps(lived(world, volumes)))
    finally:
        world.close()
        volumes.close()


def lived(world: World, volumes: LocalVolumes) -> dict[str, Any]:
    volume = volumes.create(ORDER).id
    machine = world.launched(page())
    world.compute.stop(machine)
    world.becomes(machine, Observed.OFF)
    volumes.attach(volume, machine, "data")
    world.compute.start(machine)
    world.becomes(machine, Observed.ON)
    (volumes._volumes / volume / "data" / "file").write_text("precious")
    seen = {"uid": os.getuid(), "sandbox": world.report(machine)["sandbox"]}
    seen["refusal"] = eventually(lambda: refusal(volumes, volume, machine), 120)
    seen["attached"] = [*volumes.survey().disks[0].attached] == [machine]
    world.compute.stop(machine)
    world.becomes(machine, Observed.OFF)
    volumes.detach(volume, machine)
    seen["attached_when_off"] = [*volumes.survey().disks[0].attached]
    seen["holds"] = (volumes._volumes / volume / "data" / "file").read_text()
    return seen


def refusal(volumes: LocalVolumes, volume: str, machine: str) -> str | None:
    """The message of a refused detachment, or None if it was accepted."""
    try:
        volumes.detach(volume, machine)
    except StorageRefused as why:
        return str(why)
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
