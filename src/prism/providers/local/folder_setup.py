"""Makes, changes and removes the folders of machines."""

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import uv
from msgspec import Struct, to_builtins

from prism.agent.protocol import (
    DISK_FULL_ERRORS,
    SPEC,
    LocalMachineSpec,
    replace_file,
)
from prism.catalog.plan import machine_type
from prism.errors import Unavailable
from prism.providers.local import folder as folders
from prism.providers.local.adoption import LaunchRecord
from prism.providers.local.limits import limits_for
from prism.providers.local.sandbox_paths import reachable
from prism.providers.local.storage.trees import try_remove
from prism.providers.supervised import (
    CHANGING,
    FROM_TEMPLATE,
    first_intent,
    limits_of,
    supervised_spec,
)
from prism.workspaces.ports import MachineSpec, ProviderRefused


class MachineOptions(Struct, frozen=True, kw_only=True):
    """How the machines of one home are made and treated."""

    cache: Path
    grace: float = 10
    sandbox: bool = True
    minute: float = 60


def make(
    folder: Path, spec: MachineSpec, options: MachineOptions, gpus: list[str] | None = None
) -> bool:
    """Make the folder of a spec, atomically; returns whether it did not exist before.

    `gpus` are those that are given to it; None where it has no limit.
    """
    if folder.exists():
        return False
    draft = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        written: LocalMachineSpec = _machine_spec(spec, options)
        if gpus is not None:
            written["gpus"] = gpus
        replace_file(draft / SPEC, msgspec.json.encode(written))
        folders.write_intent(draft, first_intent(spec))
        folders.write_rule(draft, spec.idle, options.minute)
        draft.rename(folder)
    except OSError as error:
        try_remove(draft)
        if folder.exists():  # another call was faster
            return False
        if error.errno in DISK_FULL_ERRORS:
            raise ProviderRefused(
                f"There is no space for a workspace in {folder.parent}"
            ) from error
        raise ProviderRefused(f"No workspace can be made in {folder.parent}: {error}") from error
    return True


def change_type(folder: Path, instance_type: str) -> None:
    """Give a machine that is off the limits of another type."""
    limits = limits_of_type(instance_type)
    _update(folder, {"limits": limits}, {"instance_type": instance_type})


def give_gpus(folder: Path, gpus: list[str]) -> None:
    """Give other GPUs to a machine that is down."""
    _update(folder, {"gpus": gpus}, {})


def change_template(folder: Path, spec: MachineSpec, options: MachineOptions) -> None:
    """Write the template into the spec; the supervisor reads it at the next start."""
    written = _machine_spec(spec, options)
    _update(folder, {name: value for name, value in written.items() if name in FROM_TEMPLATE}, {})


def describe(folder: Path, spec: MachineSpec) -> None:
    """Write facts that may change after the launch into the spec."""
    _update(folder, {}, {field: to_builtins(getattr(spec, field)) for field in CHANGING})


def update_installation(folder: Path, cache: Path | None = None) -> None:
    """Write our own paths, and that of the cache, into the spec: both may have been moved."""
    _update(folder, {}, {}, cache)


def _update(
    folder: Path,
    changed: Mapping[str, Any],
    launched: Mapping[str, Any],
    cache: Path | None = None,
) -> None:
    """Change fields of a spec, and of its record for a daemon that has lost its rows."""
    path = folder / SPEC
    try:
        known = msgspec.json.decode(path.read_bytes())
        record = {**known.get("launched", {}), **launched}
        moved = {} if cache is None else _moved_paths(known, folder, cache)
        now = {**known, **_current_paths(known), **moved, **changed, "launched": record}
        written = msgspec.json.encode(now)
        if msgspec.json.decode(written) != known:  # as it will be read: tuples are lists there
            replace_file(path, written)
    except FileNotFoundError:  # it is being taken away
        return
    except msgspec.MsgspecError as error:
        raise Unavailable(f"{path} cannot be read: {error}") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error}") from error


def remove_old(folder: Path, after: timedelta) -> None:
    """Remove a folder that is old enough: of a machine that is gone, or a draft."""
    try:
        if time.time() - folder.stat().st_mtime < after.total_seconds():
            return
    except FileNotFoundError:
        return
    if not folder.name.startswith("."):
        with contextlib.suppress(OSError):  # a full disk has no room for the other name
            folder = folder.rename(folder.with_name(f".{folder.name}-{secrets.token_hex(4)}"))
    try_remove(folder)


def _machine_spec(spec: MachineSpec, options: MachineOptions) -> LocalMachineSpec:
    """The spec in the format of the supervisor."""
    installer = os.fspath(uv.find_uv_bin())
    record = {field: getattr(spec, field) for field in LaunchRecord.__struct_fields__}
    return {
        **supervised_spec(spec, limits_of_type(spec.instance_type), record),
        "uv": installer,
        "reachable": [*reachable(), installer],
        "python": sys.executable,
        "cache": str(options.cache / "wheels"),
        "slots": str(options.cache / "slots"),
        "grace": options.grace,
        "sandbox": options.sandbox,
    }


def _current_paths(known: Mapping[str, Any]) -> dict[str, Any]:
    """The paths of a spec that exist, and our own; its environment may need the older ones."""
    own = {"uv": (installer := os.fspath(uv.find_uv_bin())), "python": sys.executable}
    paths = [path for path in known.get("reachable", ()) if os.path.exists(path)]
    return {
        **{name: path for name, path in own.items() if not os.path.exists(known.get(name, ""))},
        "reachable": [*dict.fromkeys([*paths, *reachable(), installer])],
    }


def _moved_paths(known: Mapping[str, Any], folder: Path, cache: Path) -> dict[str, Any]:
    """The paths of a home that was moved since the spec was written; none if it was not."""
    paths = _cache_paths(cache)
    if not (before := known.get("cache")) or before == paths["cache"]:
        return {}
    made_at = str(Path(before).parents[1] / folder.parent.name / folder.name)
    return {**paths, "made_at": known.get("made_at", made_at)}


def _cache_paths(cache: Path) -> dict[str, str]:
    return {"cache": str(cache / "wheels"), "slots": str(cache / "slots")}


def limits_of_type(instance_type: str) -> dict[str, int]:
    """What this computer gives of a machine type."""
    kind = machine_type(instance_type)
    limits, _ = limits_for(kind.vcpus, kind.memory_gib)
    return {**limits_of(kind), "cpus": limits.cpus, "memory_mb": limits.memory >> 20}
