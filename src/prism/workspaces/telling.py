"""What a machine says of itself is kept true: told once more when it has changed here."""

from typing import Any

import msgspec

from prism.errors import Problem
from prism.workspaces.model import Verb, Workspace
from prism.workspaces.plan import Act
from prism.workspaces.ports import Compute, Machine, Order, Refused

QUIET = {Act.WAIT, Act.REST}


def facts_of(it: Workspace) -> str:
    """What is written on its machine and may change there, as compact JSON."""
    money = (it.project_name, it.allocation, it.budget)
    return msgspec.json.encode([*money, it.idle_profile, it.expires_at, it.owner]).decode()


def describe(
    compute: Compute, it: Workspace, machine: Machine | None, act: Act, order: Order
) -> dict[str, Any] | None:
    """Tell it, once nothing else is left to do; null where that has to be tried again.

    It never stands in the way of a wish, so nothing is raised.
    """
    now = facts_of(it)
    if it.told_facts in {None, now} or it.verb is Verb.TERMINATE or act not in QUIET:
        return {}
    if machine is None:
        return None if it.machine_id else {}
    try:
        compute.describe(machine.id, order)
    except Refused:  # it will say no again: not before something else changes
        return {}
    except Problem:
        return None
    return {"told_facts": now}
