"""Machines that a supervisor of the agent runs, on this computer or on a lab server."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import ValidationError, to_builtins

from prism.agent.protocol import (
    ALIVE,
    IdleReport,
    LocalMachineSpec,
    MachineIntent,
    ObservedMachine,
    Phase,
)
from prism.catalog.model import MachineType
from prism.providers.idle_documents import decoded
from prism.workspaces.idleness import Idleness
from prism.workspaces.model import Observed, WorkspaceFailure
from prism.workspaces.ports import Machine, MachineSpec

OBSERVED_BY_PHASE: dict[Phase, Observed] = {
    "starting": Observed.STARTING,
    "on": Observed.ON,
    "stopping": Observed.STOPPING,
    "off": Observed.OFF,
    "asleep": Observed.ASLEEP,
    "failed": Observed.BROKEN,
    "gone": Observed.GONE,
}
HOST = "127.0.0.1"
MOST_NOTES, NOTE_CHARACTERS = 10, 500
LATEST_MOMENT = 32_503_680_000.0  # the year 3000: a difference of clocks may still be added
PERCENT = range(101)
CHANGING = ("owner", "project", "budget", "idle_profile", "ends_at")
FROM_TEMPLATE = (
    *("template", "packages", "post_install", "services", "environment"),
    "parameters",
)


def machine_of_report(id: str, report: ObservedMachine) -> Machine:
    """A machine as its supervisor reports it."""
    phase, failure = report["phase"], report.get("failure")
    return Machine(
        id=id,
        key=report["key"],
        observed=OBSERVED_BY_PHASE[phase],
        private_ip=HOST if phase == "on" else None,
        stage=report.get("stage"),
        progress=progress if (progress := report.get("progress")) in PERCENT else None,
        failure=WorkspaceFailure(failure["code"], failure["message"]) if failure else None,
        interrupted=phase == "off" and bool(failure and failure.get("ran")),
        since=moment(report.get("since")),
        started=moment(report.get("up")),
        idle=_decode_idleness(report.get("idle")),
        notes=_notes(report),
    )


def moment(seconds: float | None) -> datetime | None:
    """A time in a document, in seconds since 1970; None if it is missing or absurd."""
    if seconds is None or not 0 < seconds < LATEST_MOMENT:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def is_pending(report: ObservedMachine, intent: MachineIntent | None) -> bool:
    """Whether its supervisor has not carried out the last intent."""
    return intent is not None and (intent["run"] > report["run"] or intent["state"] == "gone")


def without_supervisor(id: str, key: str, name: str) -> Machine:
    """A machine whose supervisor died and was not replaced yet."""
    message = f"its supervisor died; `prism workspace start {name}` starts it again"
    failure = WorkspaceFailure("MACHINE_DIED", message)
    return Machine(id=id, key=key, observed=Observed.OFF, failure=failure)


def first_intent(spec: MachineSpec) -> MachineIntent:
    """The intent with which a machine begins."""
    return {
        "run": 1,
        "state": "on" if spec.starts else "off",
        "expires_at": None if spec.expires_at is None else spec.expires_at.timestamp(),
        "expire_action": "hibernate" if spec.hibernation else "stop",
    }


def limits_of(kind: MachineType) -> dict[str, int]:
    """The limits of a machine type in the format of the supervisor."""
    return {
        "cpus": kind.vcpus,
        "memory_mb": int(kind.memory_gib * 1024),
        **({"gpus": kind.gpus} if kind.gpus else {}),
    }


def supervised_spec(
    spec: MachineSpec, limits: Mapping[str, int], record: Mapping[str, Any]
) -> LocalMachineSpec:
    """The spec in the format of the supervisor, without paths of the computer that runs it."""
    template = spec.template
    defaults = {name: parameter.default for name, parameter in template.parameters.items()}
    return {
        "key": spec.key,
        "name": spec.name,
        "template": template.name,
        "packages": list(template.packages.get("pip", ())),
        "post_install": list(template.post_install),
        "services": to_builtins(template.services),
        "environment": template.environment,
        "parameters": {n: v for n, v in {**defaults, **spec.parameters}.items() if v is not None},
        "limits": dict(limits),
        "launched": to_builtins(dict(record)),
    }


def _notes(report: ObservedMachine) -> tuple[str, ...]:
    """What a running machine lacks; shortened, as without a sandbox it can change its report."""
    if report["phase"] not in ALIVE:
        return ()
    return tuple(note[:NOTE_CHARACTERS] for note in report.get("notes", ())[:MOST_NOTES])


def _decode_idleness(report: IdleReport | None) -> Idleness | None:
    try:
        return decoded(report) if report else None
    except ValidationError:  # a time in it is invalid: ignore the whole report
        return None
