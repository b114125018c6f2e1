"""Requests about limits."""

from collections.abc import Sequence

from msgspec import UNSET
from msgspec.structs import replace
from sqlalchemy import Connection

from prism.access import store as access
from prism.access.model import TokenNotFound, current
from prism.budgets.books import BookReader
from prism.budgets.events import changes
from prism.errors import ValidationFailed
from prism.kit.clock import Clock, whole
from prism.kit.db import Database
from prism.kit.ids import sortable_id
from prism.kit.money import Micros, amount, of_usd
from prism.limits import store
from prism.limits.events import VALUES, LimitChanged
from prism.limits.holders import HolderLimitReader
from prism.limits.model import (
    Limit,
    LimitChange,
    LimitNotFound,
    LimitScope,
    LimitShown,
    LimitUse,
    OwnLimits,
)
from prism.limits.plan import HeldLimit, in_place_of, limit_cap, running
from prism.projects import store as projects


class LimitService:
    """Sets, removes and shows limits; `reader` reads what applies, `books` how much is used."""

    def __init__(
        self, db: Database, clock: Clock, reader: HolderLimitReader, books: BookReader
    ) -> None:
        self._db, self._clock, self._reader, self._books = db, clock, reader, books

    def every(self, project: str | None) -> list[LimitShown]:
        """All limits, or those in one project."""
        with self._db.read() as sql:
            id = None if project is None else projects.named(sql, project).id
            return [_shown(sql, row) for row in store.every(sql) if id in {None, row.project}]

    def mine(self) -> OwnLimits:
        """The limits that apply to the caller, in all projects, and how much of each is used."""
        caller = current()
        with self._db.read() as sql:
            of = [
                None,
                *sorted(
                    caller.roles or projects.roles_of(sql, caller.name, self._clock.now()).roles
                ),
            ]
            uses = self._uses(sql, caller.name, of)
        return OwnLimits(caller.name, uses)

    def counting(self, id: str, person: str) -> LimitShown:
        """The limit with that id, with what counts there for a person now."""
        with self._db.read() as sql:
            limit = store.by_id(sql, id)
            if limit.scope == "token":
                return _shown(sql, limit)
            roles = {
                role
                for project, role in projects.roles_of(
                    sql, person, self._clock.now()
                ).roles.items()
                if limit.project in {None, project}
            }
            return _shown(sql, in_place_of(limit, store.every(sql), person, roles))

    def in_dollars(self) -> dict[str, list[LimitUse]]:
        """The limits in dollars that apply to each member of a project who has any."""
        with self._db.read() as sql:
            if all(limit.monthly is None for limit in store.every(sql)):
                return {}
            projects_of: dict[str, list[str]] = {}
            for project, members in projects.all_members(sql).items():
                for member in members:
                    projects_of.setdefault(member.email.lower(), []).append(project)
            return {
                person: [use for use in uses if use.limit.monthly is not None]
                for person, of in sorted(projects_of.items())
                if (uses := self._uses(sql, person, [None, *sorted(of)]))
            }

    def _uses(
        self, sql: Connection, person: str, of: Sequence[str | None]
    ) -> tuple[LimitUse, ...]:
        held = dict[str, HeldLimit]()
        for project in of:
            for limit in self._reader.held(sql, project, person, ""):
                held.setdefault(f"{limit.limit.id} {limit.holder.project}", limit)
        return tuple(self._use(sql, limit) for limit in held.values())

    def set(self, request: LimitChange) -> LimitShown:
        """Set a limit, or change the one that the same authority has set before."""
        scope, subject = _subject(request)
        with self._db.write() as tx:
            project = None
            if request.project is not None:
                project = projects.named(tx.sql, request.project).id
            if scope == "token" and access.by_id(tx.sql, subject) is None:
                raise TokenNotFound(
                    f"Token {subject!r} not found",
                    remediation="Use `prism token list` to see tokens",
                )
            key = (scope, subject, project, current().operator)
            before = next((row for row in store.every(tx.sql) if _key(row) == key), None)
            limit = before or Limit(
                id=sortable_id("limit", self._clock.now()),
                scope=scope,
                subject=subject,
                project=project,
                by_operator=current().operator,
                set_by=current().name,
                set_at=whole(self._clock.now()),
            )
            after = self._changed(limit, request)
            store.put(tx, after)
            tx.happened(_event(before, after))
            return _shown(tx.sql, after)

    def remove(self, id: str, project: str | None) -> LimitShown:
        """Remove a limit; an owner of a project removes only those that its owners have set."""
        with self._db.write() as tx:
            limit = store.by_id(tx.sql, id)
            if not current().operator:
                of = None if project is None else projects.named(tx.sql, project).id
                if limit.by_operator or of is None or limit.project != of:
                    raise LimitNotFound(
                        f"Limit {id!r} not found",
                        details="only the operator can remove what the operator has set",
                        remediation="Use `prism limit list --project NAME` to see the limits",
                    )
            store.remove(tx, id)
            tx.happened(_event(limit, None))
            return _shown(tx.sql, limit)

    def _changed(self, limit: Limit, request: LimitChange) -> Limit:
        values: dict[str, int | None] = {}
        for name in VALUES:
            if (value := getattr(request, name)) is not UNSET:
                values[name] = of_usd(value) if name == "monthly" and value else value
        after = replace(limit, **values, set_by=current().name, set_at=whole(self._clock.now()))
        if after.monthly is None and after.workspaces is None and after.gpus is None:
            why = "is missing: give `monthly`, `workspaces` or `gpus`, or remove the limit"
            raise ValidationFailed.of(("monthly", why))
        return after

    def _use(self, sql: Connection, held: HeldLimit) -> LimitUse:
        cap = limit_cap(held, self._reader.name(sql, held))
        balance = None if cap is None else self._books.open(sql).balance(cap)
        now = running(store.living(sql, held.holder))
        return LimitUse(
            limit=_shown(sql, held.limit),
            spent=None if balance is None else amount(Micros(balance.settled)),
            reserved=None if balance is None else amount(Micros(balance.reserved)),
            left=None if balance is None else amount(balance.shown_left),
            workspaces_running=now.workspaces,
            gpus_running=now.gpus,
        )


def _subject(request: LimitChange) -> tuple[LimitScope, str]:
    """Whose limit a request is about; raises unless it names exactly one."""
    named: list[tuple[LimitScope, str | None]] = [
        ("person", request.person),
        ("token", request.token),
        ("role", request.role),
    ]
    subjects = [(scope, subject) for scope, subject in named if subject is not None]
    if len(subjects) != 1:
        raise ValidationFailed.of(("person", "give exactly one of `person`, `token` and `role`"))
    [(scope, subject)] = subjects
    if scope == "token" and request.project is not None:
        raise ValidationFailed.of(("project", "a token's limit counts in all projects"))
    return scope, subject.lower() if scope == "person" else subject


def _key(limit: Limit) -> tuple[str, str, str | None, bool]:
    return limit.scope, limit.subject, limit.project, limit.by_operator


def _shown(sql: Connection, limit: Limit) -> LimitShown:
    project = None if limit.project is None else projects.find(sql, limit.project)
    return LimitShown(
        id=limit.id,
        scope=limit.scope,
        subject=limit.subject,
        project=limit.project,
        project_name=None if project is None else project.name,
        by_operator=limit.by_operator,
        monthly=None if limit.monthly is None else amount(limit.monthly),
        workspaces=limit.workspaces,
        gpus=limit.gpus,
        set_by=limit.set_by,
        set_at=limit.set_at,
    )


def _event(before: Limit | None, after: Limit | None) -> LimitChanged:
    limit = after or before
    assert limit is not None, "a change has a row before or after it"
    return LimitChanged(
        actor=current().name,
        subject=limit.subject,
        limit=limit.id,
        scope=limit.scope,
        project=limit.project,
        by_operator=limit.by_operator,
        **changes(before, after, VALUES),
    )
