"""What a machine's folder says of it, for a daemon that has lost its rows."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from prism.agent.protocol import ORDER
from prism.providers.local import folder as folders
from prism.recovery.model import FoundMachine
from prism.templates.model import Service, Template
from prism.workspaces.model import Observed
from prism.workspaces.ports import Machine


class LaunchRecord(Struct, frozen=True, kw_only=True):
    """What of an order its supervisor does not need; field names as in `MachineOrder`."""

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
    """An order, as far as a row is made of it."""

    key: str
    name: str
    template: str = ""
    packages: tuple[str, ...] = ()
    post_install: tuple[str, ...] = ()
    services: dict[str, Service] = {}
    environment: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    launched: LaunchRecord = LaunchRecord()


def found_in(folder: Path, machine: Machine) -> FoundMachine | None:
    """The machine of a folder, by its order; none where that cannot be read."""
    try:
        order = msgspec.json.decode((folder / ORDER).read_bytes(), type=OrderRecord)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    wanted, its = folders.wanted(folder), order.launched
    due = wanted.get("expires_at") if wanted else None
    return FoundMachine(
        id=machine.id,
        key=order.key,
        seen=machine.seen,
        name=order.name,
        owner=its.owner,
        profile=its.profile,
        template=order.template,
        recipe=_recipe(order),
        parameters=order.parameters,
        instance_type=its.instance_type,
        root_gb=its.root_gb,
        root_type=its.root_type,
        hibernation=its.hibernation,
        project=its.project,
        budget=its.budget,
        idle_profile=its.idle_profile,
        launched_at=its.launched_at,
        started_at=machine.since if machine.seen is Observed.ON else None,
        ends_at=its.ends_at,
        told_until=None if due is None else datetime.fromtimestamp(due, UTC),
        at_home=True,
    )


def _recipe(order: OrderRecord) -> Template:
    return Template(
        name=order.template or "unknown",
        packages={"pip": order.packages},
        services=order.services,
        environment=order.environment,
        post_install=order.post_install,
    )
