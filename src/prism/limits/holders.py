"""Reads the limits that apply, for admission and for people who ask for their own."""

from collections.abc import Sequence

from sqlalchemy import Connection

from prism.access.model import Role, current
from prism.budgets.model import Cap, Reservation
from prism.invitations import store as invitations
from prism.kit.db import Tx
from prism.limits import store
from prism.limits.model import Limit
from prism.limits.plan import (
    HeldLimit,
    applicable,
    applicable_to_launcher,
    holder_name,
    limit_cap,
    refusal,
)
from prism.projects import store as projects
from prism.workspaces.model import Workspace
from prism.workspaces.plan import ACTIVE, state_of


class HolderLimitReader:
    """Implements `budgets.model.HolderLimits`."""

    def exist(self, sql: Connection) -> bool:
        """Whether anybody has set a limit."""
        return bool(store.every(sql))

    def caps(
        self, sql: Connection, project: str, owner: str, resource: str, launcher: str | None
    ) -> list[Cap]:
        """The limits in dollars that apply to a resource of this owner, paid by a project."""
        held = self.held(sql, project, owner, resource, launcher)
        caps = (limit_cap(limit, self.name(sql, limit)) for limit in held)
        return [cap for cap in caps if cap is not None]

    def spent(self, sql: Connection, cap: Cap, start: int, now: int) -> int:
        """What the ledger has booked on a limit since `start`."""
        assert cap.holder is not None, "it is a limit of a holder"
        return store.spent(sql, cap.holder, start, now)

    def spent_by(self, sql: Connection, cap: Cap, at: int) -> int:
        """What the ledger had ever booked on a limit by a moment in the past."""
        assert cap.holder is not None, "it is a limit of a holder"
        return store.spent_by(sql, cap.holder, at)

    def reservations(self, sql: Connection, cap: Cap) -> list[Reservation]:
        """The reservations of what the holder of a limit has."""
        assert cap.holder is not None, "it is a limit of a holder"
        return store.reservations_of(sql, cap.holder)

    def require_room(self, sql: Connection, workspace: Workspace) -> None:
        """Raise if more workspaces or GPUs would run at once than a limit allows."""
        if state_of(workspace) not in ACTIVE:
            return
        w = workspace
        for held in self.held(sql, w.project, w.owner, w.id, w.launched_by):
            living = store.living(sql, held.holder)
            besides = [row for row in living if row.id != workspace.id]
            if problem := refusal(held, self.name(sql, held), workspace, besides):
                raise problem

    def record(self, tx: Tx, resource: str) -> None:
        """Record that the caller's token has made or woken a resource, if it has a limit."""
        for token in _limited_tokens(tx.sql, store.every(tx.sql)):
            store.record(tx, token, resource)

    def held(
        self,
        sql: Connection,
        project: str | None,
        owner: str,
        resource: str,
        launcher: str | None = None,
    ) -> list[HeldLimit]:
        """The limits that apply to a resource; an empty id stands for one that will be made."""
        if not (limits := store.every(sql)):
            return []
        tokens = set(_limited_tokens(sql, limits))
        if resource and any(limit.scope == "token" for limit in limits):
            tokens |= set(store.tokens_of(sql, resource))
        role = _role(sql, limits, project, owner)
        held = applicable(limits, owner, project, role=role, tokens=tokens)
        if launcher is None or launcher.lower() == owner.lower():
            return held
        role = _role(sql, limits, project, launcher)
        return held + applicable_to_launcher(limits, launcher, project, role=role)

    def name(self, sql: Connection, held: HeldLimit) -> str:
        """Whose limit it is, within a sentence."""
        holder, project = held.holder, None
        if holder.project is not None:
            project = projects.named(sql, holder.project).name
        is_token = holder.scope == "token"
        token = (store.token_name(sql, holder.subject) or holder.subject) if is_token else None
        return holder_name(holder, project, token)


def _role(
    sql: Connection, limits: Sequence[Limit], project: str | None, person: str
) -> Role | None:
    """The role of a member, or the one that somebody was invited to, also if they did not come.

    Admins launch for invited people, and use what they have launched.
    """
    if project is None or not any(limit.scope == "role" for limit in limits):
        return None
    if member := projects.member(sql, project, person):
        return member.role
    rows = [row for row in invitations.of_person(sql, person) if row.project == project]
    return rows[-1].role if rows else None


def _limited_tokens(sql: Connection, limits: Sequence[Limit]) -> list[str]:
    """The caller's token and those it was made with, of those that have a limit."""
    limited, token = {row.subject for row in limits if row.scope == "token"}, current().token
    if not limited or token is None:
        return []
    return [id for id in store.parents(sql, token) if id in limited]
