"""A found machine, from its folder, for a daemon that has lost its rows."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from prism.agent.protocol import ORDER
from prism.providers.local import folder as folders
from prism.recovery.model import FoundMachine
from prism.templates.model import Service, Template
from prism.workspaces.model import Observed
from prism.workspaces.ports import Machine


class LaunchRecord(Struct, frozen=True, kw_only=True):
    """The fields of an order that its supervisor does not need.

    They are named as in `MachineOrder` and `FoundMachine`.
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


class OrderRecord(Struct, frozen=True, kw_only=True):
    """The fields of an order from which a row is made."""

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
    """The machine of a folder, by its order; None if that cannot be read."""
    try:
        order = msgspec.json.decode((folder / ORDER).read_bytes(), type=OrderRecord)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    intent = folders.read_intent(folder)
    due = intent.get("expires_at") if intent else None
    return FoundMachine(
        id=machine.id,
        key=order.key,
        observed=machine.observed,
        name=order.name,
        template=order.template,
        resolved_template=_template_of(order),
        parameters=order.parameters,
        started_at=machine.since if machine.observed is Observed.ON else None,
        stops_at=None if due is None else datetime.fromtimestamp(due, UTC),
        at_home=True,
        **asdict(order.launched),
    )


def _template_of(order: OrderRecord) -> Template:
    return Template(
        name=order.template or "unknown",
        packages={"pip": order.packages},
        services=order.services,
        environment=order.environment,
        post_install=order.post_install,
    )
