"""What a machine's folder says of it, for a daemon that has lost its rows."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from prism.providers.local import folder as folders
from prism.recovery.model import Found
from prism.templates.model import Service, Template
from prism.workspaces.model import Seen
from prism.workspaces.ports import Machine


class Launched(Struct, frozen=True, kw_only=True):
    """The part of an order that its supervisor has no use for; its names are those of `Order`."""

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


class Ordered(Struct, frozen=True, kw_only=True):
    """An order, as far as a row is made of it."""

    key: str
    name: str
    template: str = ""
    packages: tuple[str, ...] = ()
    post_install: tuple[str, ...] = ()
    services: dict[str, Service] = {}
    environment: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    launched: Launched = Launched()


def found_in(folder: Path, machine: Machine) -> Found | None:
    """The machine of a folder, by its order; none where that cannot be read."""
    try:
        order = msgspec.json.decode((folder / "order.json").read_bytes(), type=Ordered)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    wanted, its = folders.wanted(folder), order.launched
    due = wanted.expires_at if wanted else None
    return Found(
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
        started_at=machine.since if machine.seen is Seen.ON else None,
        ends_at=its.ends_at,
        told_until=None if due is None else datetime.fromtimestamp(due, UTC),
        at_home=True,
    )


def _recipe(order: Ordered) -> Template:
    return Template(
        name=order.template or "unknown",
        packages={"pip": order.packages},
        services=order.services,
        environment=order.environment,
        post_install=order.post_install,
    )
