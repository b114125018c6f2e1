"""Hands out the GPUs of this computer to the workspaces whose machine type has one."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from prism.agent.machine.slots import GpusUnknown, NoRoom, choose, gpus, slot_of
from prism.agent.protocol import Room
from prism.providers.local import folder as folders
from prism.workspaces.ports import ProviderRefused


def granted_gpus(limits: Mapping[str, int], paths: Iterable[Path]) -> list[str] | None:
    """The GPUs for a machine that starts; None if it needs none. Those in `paths` hold theirs.

    Call it under the lock of whoever writes specs and intents.
    """
    if not (count := limits.get("gpus", 0)):
        return None
    slots = (
        slot_of(
            path.name,
            folders.read_spec(path),
            folders.read_intent(path),
            folders.read_report(path),
        )
        for path in paths
    )
    holders = [slot for slot in slots if slot and slot["gpus"]]
    try:
        room: Room = {"cpus": 0, "memory_mb": 0, "gpus": gpus(), "holders": holders}
        return choose(room, {"gpus": count})
    except NoRoom as error:
        raise ProviderRefused(
            f"This computer: {error}", details=error.held, remediation="Stop one that has a GPU"
        ) from error
    except GpusUnknown as error:
        raise ProviderRefused(f"No GPU can be given out: {error}") from error
