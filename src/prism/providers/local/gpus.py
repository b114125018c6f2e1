"""Hands out the GPUs of this computer to the workspaces whose machine type has one."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from prism.agent.machine.folder import read
from prism.agent.machine.slots import GpusUnknown, NoRoom, choose, gpus, slot_of
from prism.agent.protocol import INTENT, OBSERVED, SPEC, Room
from prism.workspaces.ports import ProviderRefused


def granted_gpus(limits: Mapping[str, int], folders: Iterable[Path]) -> list[str] | None:
    """The GPUs for a machine that starts, beside those of `folders`; None if it needs none.

    Call it under the lock of whoever writes specs and intents.
    """
    if not (count := limits.get("gpus", 0)):
        return None
    slots = (
        slot_of(path.name, read(path / SPEC), read(path / INTENT), read(path / OBSERVED))
        for path in folders
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
