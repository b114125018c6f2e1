"""What a computer has for workspaces, what each of them holds, and which GPUs another one gets.

A workspace holds its slot from the request that starts it until its supervisor has reported that
it is down. That is read from its files, so nothing has to be given back after a crash.
"""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from prism.agent.protocol import ALIVE, Gpu, Room, SlotHolder

GPU_FIELDS = ("--query-gpu=uuid,name,memory.total", "--format=csv,noheader,nounits")
PROGRAM_FIELDS = ("--query-compute-apps=gpu_uuid,pid", "--format=csv,noheader,nounits")
GPU_ID = re.compile(r"GPU-[0-9a-fA-F-]{8,40}")
QUERY_SECONDS = 20
MOST_HELD = 1 << 31  # CPUs, or MB
MOST_GPUS = 64
DRIVER = Path("/proc/driver/nvidia/gpus")
NAMED_SOCKETS = Path("/proc/net/unix")
CLAIM = "prism-gpu-"
CPUS_VARIABLE, MEMORY_VARIABLE = "PRISM_SERVER_CPUS", "PRISM_SERVER_MEMORY_GB"
OUTSIDERS = "used by others"


class GpusUnknown(Exception):
    """There may be GPUs, but `nvidia-smi` does not tell."""


class NoRoom(Exception):
    """What is free is less than what a workspace needs; `held` says who has the rest."""

    def __init__(self, why: str, held: str) -> None:
        super().__init__(why)
        self.held = held


# ------------------------------------------------------------------ what there is
def totals(environ: Mapping[str, str]) -> "tuple[int, int]":
    """How many CPUs, and MB of memory, workspaces may have; variables may say otherwise."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return (
        _positive(environ.get(CPUS_VARIABLE)) or cpus or 1,
        _positive(environ.get(MEMORY_VARIABLE)) * 1024 or memory,
    )


def gpus(path: "str | None" = None) -> "list[Gpu]":
    """The GPUs of NVIDIA, each with whether somebody uses it; raises `GpusUnknown`."""
    program = shutil.which("nvidia-smi", path=path)
    if program is None:
        return []
    return gpus_of(_query(program, GPU_FIELDS), _query(program, PROGRAM_FIELDS), _claimed())


def gpus_of(listed: str, programs: str, claimed: "Collection[str]" = ()) -> "list[Gpu]":
    """The GPUs in the answers of `nvidia-smi`; `claimed` are held by supervisors."""
    used = {line.partition(",")[0].strip() for line in programs.splitlines()}
    used.update(claimed)
    answer: list[Gpu] = []
    for line in listed.splitlines()[:MOST_GPUS]:
        words = [word.strip() for word in line.split(",")]
        if len(words) < 3 or GPU_ID.fullmatch(words[0]) is None:
            continue
        name, memory = ", ".join(words[1:-1]), _positive(words[-1])  # a memory may be `[N/A]`
        answer.append(
            {"id": words[0], "name": name, "memory_mb": memory, "is_used": words[0] in used}
        )
    return answer


def _query(program: str, fields: "Iterable[str]") -> str:
    try:
        done = subprocess.run(
            [program, *fields],
            check=False,
            capture_output=True,
            timeout=QUERY_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GpusUnknown(f"nvidia-smi does not answer: {error}") from error
    output = done.stdout.decode(errors="replace")
    if done.returncode and "No devices were found" not in output:
        last = (output + done.stderr.decode(errors="replace")).strip()[-200:]
        raise GpusUnknown(f"nvidia-smi fails: {last}")
    return output


def _positive(text: "str | None") -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 9 else 0


# ------------------------------------------------------------------ what is held
def slot_of(
    id: str,
    spec: "Mapping[str, Any] | None",
    intent: "Mapping[str, Any] | None",
    report: "Mapping[str, Any] | None",
) -> "SlotHolder | None":
    """What a workspace holds, by its files; None if it is down and is to stay down."""
    is_alive = bool(report and report.get("phase") in ALIVE)
    is_read = bool(report and intent and report.get("run", 0) >= intent.get("run", 0))
    starts = not is_read and bool(intent) and (intent or {}).get("state") in {"on", "asleep"}
    if not spec or not (is_alive or starts):
        return None
    limits = spec.get("limits") or {}
    return {
        "id": id,
        "name": str(spec.get("name", id)),
        "cpus": _held(limits, "cpus"),
        "memory_mb": _held(limits, "memory_mb"),
        "gpus": [str(gpu) for gpu in spec.get("gpus") or []],
    }


def _held(limits: "Mapping[str, Any]", name: str) -> int:
    """An amount that a workspace without a sandbox may have written itself."""
    return max(0, min(int(limits.get(name, 0)), MOST_HELD))


# ------------------------------------------------------------------ what another one gets
def choose(room: Room, limits: "Mapping[str, int]") -> "list[str]":
    """The GPUs for a workspace with these limits; raises `NoRoom` with what is free.

    Of a room without CPUs only GPUs are counted. A workspace that is larger than the whole
    computer gets the whole computer.
    """
    holders, known, count = room["holders"], room.get("gpus", []), limits.get("gpus", 0)
    held_gpus = {gpu for holder in holders for gpu in holder["gpus"]}
    usable = [gpu["id"] for gpu in known if gpu["id"] not in held_gpus and not gpu["is_used"]]
    cpus = room["cpus"] - sum(holder["cpus"] for holder in holders)
    memory = room["memory_mb"] - sum(holder["memory_mb"] for holder in holders)
    needed_cpus = min(limits.get("cpus", 0), room["cpus"])
    needed_memory = min(limits.get("memory_mb", 0), room["memory_mb"])
    fits = needed_cpus <= max(cpus, 0) and needed_memory <= max(memory, 0)
    if count <= len(usable) and fits:
        return usable[:count]
    needed = _amounts(count, needed_cpus, needed_memory)
    free = [f"{len(usable)} of {len(known)} GPUs"] if count else []
    if room["cpus"]:
        free.append(f"{max(cpus, 0)} of {room['cpus']} CPUs")
        free.append(f"{_gigabytes(max(memory, 0))} of {_gigabytes(room['memory_mb'])} GB")
    why = f"there is no room for it: it needs {needed}; free are {', '.join(free)}"
    held = [f"your workspaces hold {_named(holders)}"] if holders else []
    if outside := len([gpu for gpu in known if gpu["is_used"] and gpu["id"] not in held_gpus]):
        held.append(f"{outside} of the GPUs {'is' if outside == 1 else 'are'} {OUTSIDERS}")
    raise NoRoom(why, "; ".join(held))


def _named(holders: "list[SlotHolder]") -> str:
    parts = [
        f"{holder['name']} ({_amounts(len(holder['gpus']), holder['cpus'], holder['memory_mb'])})"
        for holder in holders[:20]
    ]
    return ", ".join([*parts, "…"] if len(holders) > len(parts) else parts)


def _amounts(gpus: int, cpus: int, memory_mb: int) -> str:
    parts = [f"{gpus} GPU{'s' * (gpus != 1)}"] if gpus else []
    parts += [f"{cpus} CPU{'s' * (cpus != 1)}"] if cpus else []
    parts += [f"{_gigabytes(memory_mb)} GB"] if memory_mb else []
    return ", ".join(parts) or "nothing"


def _gigabytes(megabytes: int) -> str:
    return f"{megabytes / 1024:.3g}"


# ------------------------------------------------------------------ what is handed out
def gpu_variables(spec: "Mapping[str, Any]") -> "dict[str, str]":
    """The variables that limit programs to the GPUs of their workspace, if they are handed out."""
    granted = spec.get("gpus")
    return {} if granted is None else {"CUDA_VISIBLE_DEVICES": ",".join(granted)}


def hidden_devices(granted: "Collection[str] | None", driver: Path = DRIVER) -> "set[str]":
    """The names in `/dev` of the GPUs that are not among the `granted`; None grants all."""
    hidden: set[str] = set()
    if granted is None:
        return hidden
    for path in driver.glob("*/information"):
        fields = {}
        with suppress(OSError):
            for line in path.read_text(errors="replace").splitlines():
                name, _, value = line.partition(":")
                fields[name.strip()] = value.strip()
        minor = fields.get("Device Minor", "")
        if minor.isdigit() and fields.get("GPU UUID") not in granted:
            hidden.add(f"nvidia{minor}")
    return hidden


class GpuClaims:
    """Names of sockets in the kernel, which say to all users of a computer which GPUs are held.

    A name belongs to one process and ends with it. Nothing listens at these sockets.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def take(self, gpus: "Iterable[str]") -> "str | None":
        """Claim these; else the one that somebody else has claimed."""
        self.release()
        for gpu in gpus:
            claim = socket.socket(socket.AF_UNIX)
            self._sockets.append(claim)
            try:
                claim.bind(f"\0{CLAIM}{gpu}")
            except OSError:
                self.release()
                return gpu
        return None

    def release(self) -> None:
        """Give all back."""
        for claim in self._sockets:
            claim.close()
        self._sockets = []


def _claimed() -> "set[str]":
    """The GPUs that supervisors of all users of this computer hold."""
    try:
        lines = NAMED_SOCKETS.read_text(errors="replace").splitlines()
    except OSError:
        return set()
    names = [line.rpartition(f"@{CLAIM}") for line in lines]
    return {name for _, marker, name in names if marker and GPU_ID.fullmatch(name)}
