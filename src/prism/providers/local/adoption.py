"""A found machine, from its folder, for a daemon that has lost its rows."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from prism.agent.protocol import SPEC, MachineIntent
from prism.providers.local import folder as folders
from prism.providers.supervised import moment
from prism.recovery.model import FoundMachine
from prism.templates.model import Service, Template
from prism.workspaces.model import Observed
from prism.workspaces.ports import Machine


class LaunchRecord(Struct, frozen=True, kw_only=True):
    """The fields of a spec that its supervisor does not need.

    They are named as in `MachineSpec` and `FoundMachine`.
    """

    owner: str = ""
    profile: str = ""
    project: str | None = None
    budget: str | None = None
    idle_profile: str | None = None
    launched_at: datetime | None = None
    ends_at: datetime | None = None
    instance_type: str | None = None
    root_gb: int | None = None
    root_type: str | None = None
    hibernation: bool = True


class SpecRecord(Struct, frozen=True, kw_only=True):
    """The fields of a spec from which a row is made."""

    key: str
    name: str
    template: str = ""
    packages: tuple[str, ...] = ()
    post_install: tuple[str, ...] = ()
    services: dict[str, Service] = {}
    environment: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    launched: LaunchRecord = LaunchRecord()


def machine_of_folder(folder: Path, machine: Machine) -> FoundMachine | None:
    """The machine of a folder, by its spec; None if that cannot be read."""
    try:
        spec = msgspec.json.decode((folder / SPEC).read_bytes(), type=SpecRecord)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return found_machine(machine, spec, folders.read_intent(folder))


def found_machine(
    machine: Machine, spec: SpecRecord, intent: MachineIntent | None
) -> FoundMachine:
    """A machine with what its files say about the launch."""
    return FoundMachine(
        id=machine.id,
        key=spec.key,
        observed=machine.observed,
        name=spec.name,
        template=spec.template,
        resolved_template=_template_of(spec),
        parameters=spec.parameters,
        started_at=machine.since if machine.observed is Observed.ON else None,
        stops_at=moment(intent.get("expires_at")) if intent else None,
        at_home=True,
        **asdict(spec.launched),
    )


def _template_of(spec: SpecRecord) -> Template:
    return Template(
        name=spec.template or "unknown",
        packages={"pip": spec.packages},
        services=spec.services,
        environment=spec.environment,
        post_install=spec.post_install,
    )
