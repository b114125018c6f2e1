"""What the agent and its callers write for each other: the one agent file that others import.

Each document is declared here once, as a `TypedDict`: to the agent, which has the standard
library only and starts for every workspace, it costs nothing, and msgspec decodes into it
outside. Names and meanings of fields stay, because a workspace keeps the supervisor that it was
started with: a new field is optional. The agent's idle watch is also bundled, for Python 3.9.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, Literal, TypedDict

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})  # what a full disk answers

# Files in a machine's folder.
ORDER = "order.json"  # what to build; written by the daemon
INTENT = "wanted.json"  # what the machine should be; written by the daemon
IDLE_RULE = "idle.json"  # when it counts as idle; written by the daemon
OBSERVED = "seen.json"  # what it is; written by the supervisor, which holds `LOCK` while it runs
LOCK = "lock"
TOKEN = "token"  # the secret of its services
TREE = "tree.json"  # which tree of packages it shows; written by the supervisor
MOUNTS = ".mounts.json"  # beside the folder, after its name: its volumes; written by the daemon

State = Literal["on", "off", "asleep", "gone"]
Phase = Literal["starting", "on", "stopping", "off", "asleep", "failed", "gone"]
SleepAction = Literal["hibernate", "stop"]
IdleState = Literal["active", "idle", "unknown"]
ALIVE = frozenset[Phase]({"starting", "on", "stopping", "asleep"})  # there must be a supervisor


class OrderedService(TypedDict, total=False):
    """A program of a template that is kept running."""

    command: str
    port: int  # on a machine of its own; locally a free one is given
    health: str | None
    requires: list[str]
    environment: dict[str, str]


class _OrderCore(TypedDict):
    key: str
    name: str


class OrderedMachine(_OrderCore, total=False):
    """What to build (`ORDER`)."""

    packages: list[str]
    post_install: list[str]
    services: dict[str, OrderedService]
    environment: dict[str, str]
    parameters: dict[str, Any]
    limits: dict[str, int]  # `cpus` and `memory_mb`
    uv: str
    python: str
    reachable: list[str]  # of Prism's installation, for the sandbox
    cache: str
    slots: str
    grace: float
    patience: float
    sandbox: bool


class PackageTree(TypedDict):
    """Which tree of packages a workspace has (`TREE`), and how to make it again."""

    tree: str
    pins: str


class _IntentCore(TypedDict):
    run: int
    state: State


class MachineIntent(_IntentCore, total=False):
    """What a machine should be (`INTENT`); each new intent has the next `run`."""

    expires_at: float | None
    expire_action: SleepAction  # the default is `hibernate`


class ObservedService(TypedDict, total=False):
    """One service, as its supervisor sees it."""

    port: int | None
    running: bool
    answered: bool
    exit: int | None
    crashes: int
    token: bool  # whether it asks for the token
    last_words: str


class _FailureCore(TypedDict):
    code: str
    message: str


class MachineFailure(_FailureCore, total=False):
    """What went wrong."""

    ran: bool  # the machine was on, and nobody had it stopped
    lost: str  # how its memory was lost while it slept


class IdleSettings(TypedDict, total=False):
    """When a machine counts as idle, and what happens then (`IDLE_RULE`); empty for never."""

    profile: str
    seconds: float
    action: SleepAction
    limits: dict[str, float]  # by what is measured
    enabled: bool
    awake_until: float | None


class _IdleActCore(TypedDict):
    at: float
    action: SleepAction
    seconds: float
    profile: str


class ReportedIdleAct(_IdleActCore, total=False):
    """What a machine did about its idleness."""

    note: str | None


class IdleReport(TypedDict, total=False):
    """What a machine knows of its idleness; `workspaces.idleness.Idleness` has the meanings."""

    state: IdleState | None
    since: float | None
    until: float | None
    because: tuple[str, ...]
    figures: dict[str, float | None]
    profile: str | None
    acted: ReportedIdleAct | None


class IdleDaemonReport(IdleReport, total=False):
    """What the idle watch of a machine on AWS says (`OBSERVED`)."""

    build: str  # of the bundle


class IsolationKinds(TypedDict, total=False):
    """How programs are frozen and kept apart; null while nothing runs."""

    freezer: str | None  # `cgroup` or `signals`
    sandbox: str | None  # `bubblewrap`, or `none: why`
    network: str | None  # `own`, or `shared: why`; null without a sandbox


class _ObservedCore(TypedDict):
    key: str
    name: str
    phase: Phase
    run: int


class ObservedMachine(_ObservedCore, IsolationKinds, total=False):
    """What a supervisor says of its machine (`OBSERVED`)."""

    since: float | None  # when the phase began
    up: float | None  # when it last became `on`, also after it went down
    boot: str
    stage: str | None
    progress: int | None
    failure: MachineFailure | None
    expired: float | None  # the expiry that has been acted on
    services: dict[str, ObservedService]
    let_in: list[str]  # the volumes that programs in its sandbox can reach at this moment
    notes: list[str]
    idle: IdleReport | None


class Mount(TypedDict):
    """A volume that a machine has."""

    id: str
    name: str
    path: str


class _MountsCore(TypedDict):
    root: str  # where every volume is
    volumes: list[Mount]


class MachineMounts(_MountsCore, total=False):
    """The volumes of a machine (`MOUNTS`)."""

    leaving: list[Mount]  # detached, and programs may still reach their files


def replace_file(
    path: Path, content: bytes, *, durable: bool = True, permissions: int = 0o600
) -> None:
    """Replace a file as a whole; on a full disk, overwrite the blocks that it has."""

    def opened(name: str, flags: int) -> int:
        return os.open(name, flags, permissions)

    draft = path.with_suffix(".new")
    try:
        with open(draft, "wb", opener=opened) as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        if error.errno not in FULL or not path.exists():
            raise
        draft.unlink(missing_ok=True)
        with open(path, "r+b") as known:
            known.write(content)
            known.truncate()
