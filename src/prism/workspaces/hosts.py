"""Workspaces, as far as storage has to know them."""

from collections.abc import Collection, Mapping
from typing import cast

from sqlalchemy import Connection

from prism.storage import store as storage
from prism.storage.model import DiskType, Host
from prism.storage.model import Seen as Kept
from prism.workspaces import store
from prism.workspaces.model import Failure, Seen, Verb, Workspace
from prism.workspaces.plan import Act

# Nothing runs, or what runs is frozen.
QUIET = {Seen.NONE, Seen.OFF, Seen.ASLEEP, Seen.BROKEN, Seen.GONE}


class WorkspaceHosts:
    """Implements `storage.model.Hosts`."""

    def named(self, sql: Connection, name: str) -> Host:
        """The one with that name or instance id; raises where there is none."""
        return host(store.named(sql, name))

    def of(self, sql: Connection, ids: Collection[str]) -> Mapping[str, Host]:
        """Those with these lasting ids that are still listed."""
        return {it.id: host(it) for it in store.by_ids(sql, ids)} if ids else {}

    def on(self, sql: Connection, machines: Collection[str]) -> Mapping[str, Host]:
        """Those that live on these machines, by machine."""
        found = store.on_machines(sql, machines) if machines else []
        return {id: host(it) for it in found for id in (it.machine_id or it.expected_id,) if id}


def host(it: Workspace) -> Host:
    """A workspace for storage."""
    return Host(
        id=it.id,
        name=it.name,
        place=it.place,
        machine=it.machine_id or it.expected_id,
        quiet=it.seen in QUIET,
        up=it.seen is Seen.ON,
        ended=it.verb is Verb.TERMINATE,
        project=it.project,
        root_gb=it.root_gb,
        root_type=cast("DiskType", it.root_type),
    )


def zone_of(sql: Connection, it: Workspace) -> str | None:
    """The zone that its volumes tie a workspace to; null where it may go anywhere."""
    return next(iter(storage.zones_of(sql, it.id)), None)


def before_its_end(sql: Connection, it: Workspace, seen: Seen) -> tuple[Act, Failure | None]:
    """What is to be done about one that is to be destroyed, and what stands in the way.

    While a snapshot of its disk is not complete it is only stopped: nothing is written that
    the snapshot would not have.
    """
    held = storage.held(sql, it.id)
    if held is None:
        return Act.TERMINATE, None
    act = Act.STOP if seen in {Seen.STARTING, Seen.ON} else Act.WAIT
    if held.seen is not Kept.BROKEN or held.trouble is None:
        return act, None
    again = f"`prism workspace terminate {it.name} --backup` tries again, without it gives it up"
    return act, Failure("BACKUP_FAILED", f"{held.trouble.message}; {again}")
