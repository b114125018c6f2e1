"""Memberships that follow from groups at an identity provider.

At each login, a person gets the roles of their groups and loses those of groups that they have
left. A membership that somebody gave by hand, or changed by hand later, stays as it is, and who
was removed by hand is not made a member again while the groups give the same project. Who gives
a membership an end decides by hand, too; once it has ended, no group brings the person back.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec import Struct
from sqlalchemy import Column, Connection, String, Table, and_, delete, select

from prism.access.model import Caller, Role
from prism.kit.actor import CURRENT_ACTOR
from prism.kit.db import Tx
from prism.kit.tables import metadata
from prism.projects import store as projects
from prism.projects.model import GroupMembers, Project

BY_HAND = "by hand"  # in place of a role: somebody had decided otherwise at the last login
EVERY_ISSUER = "*"  # in place of an issuer, which is an address or a plain word
given_roles = Table(
    "group_roles",
    metadata,
    Column("person", String, primary_key=True),
    Column("project", String, primary_key=True),
    Column("issuer", String, primary_key=True),
    Column("role", String, nullable=False),
)


class GroupRule(Struct, frozen=True, forbid_unknown_fields=True):
    """The members of a group at the provider have a role in a project."""

    group: str
    project: str
    role: Role = Role.MEMBER

    def __post_init__(self) -> None:
        if self.role is Role.OWNER:
            raise ValueError("no group makes owners: give that role by hand")


def wanted_roles(rules: Sequence[GroupRule], groups: Collection[str]) -> dict[str, Role]:
    """The highest role by the name of the project."""
    roles: dict[str, Role] = {}
    for rule in rules:
        if rule.group in groups:
            before = roles.get(rule.project)
            roles[rule.project] = max(before or rule.role, rule.role, key=lambda role: role.rank)
    return roles


def next_role(present: Role | None, previous: str | None, target: Role | None) -> Role | None:
    """The role from now on; `previous` is what groups gave at the last login, or `BY_HAND`.

    A present role that no group gave stays: somebody gave it by hand. Who has none, and had one
    at the last login, was removed by hand.
    """
    return target if present == previous else present


@contextmanager
def acting(caller: Caller) -> Iterator[None]:
    """What is recorded meanwhile was done by this person, by logging in."""
    before = CURRENT_ACTOR.set(caller)
    try:
        yield
    finally:
        CURRENT_ACTOR.reset(before)


class GroupRoles:
    """Gives and takes roles within the transaction of a login."""

    def __init__(self, issuer: str, rules: Sequence[GroupRule], members: GroupMembers) -> None:
        self._issuer, self._rules, self._members = issuer, rules, members

    def gives(self, groups: Collection[str]) -> bool:
        """Whether something follows from these groups, so that the person may come in."""
        return bool(wanted_roles(self._rules, groups))

    def follow(self, tx: Tx, person: str, groups: Collection[str]) -> None:
        """Make the person's memberships those of these groups."""
        target = self._by_id(tx.sql, wanted_roles(self._rules, groups))
        previous = self._given(tx.sql, person)
        for project in {*target, *previous}:
            present = projects.member(tx.sql, project, person)
            before = present.role if present else None
            has_end = present is not None and present.until is not None
            last_role = BY_HAND if has_end else previous.get(project)
            after = next_role(before, last_role, target.get(project))
            if after is not before:
                with acting(Caller(name=person)):
                    self._members.set_by_group(tx, project, person, after)
                if after is None:  # no other provider takes it for a removal by hand
                    _forget(tx, person=person, project=project)
            role = BY_HAND if before != last_role else target.get(project)
            self._remember(tx, person, project, role if project in target else None)

    def _by_id(self, sql: Connection, roles: Mapping[str, Role]) -> dict[str, Role]:
        """The roles by the id of the project; a project that does not exist (yet) is left out."""
        rows = ((projects.find(sql, name), role) for name, role in roles.items())
        return {row.id: role for row, role in rows if row is not None}

    def _given(self, sql: Connection, person: str) -> dict[str, str]:
        """What was given at the last login, by the id of the project."""
        columns = (given_roles.c.project, given_roles.c.role)
        own = and_(given_roles.c.person == person, given_roles.c.issuer == self._issuer)
        ends = and_(given_roles.c.person == person.lower(), given_roles.c.issuer == EVERY_ISSUER)
        rows = [sql.execute(select(*columns).where(where)).all() for where in (own, ends)]
        return {project: role for part in rows for project, role in part}

    def _remember(self, tx: Tx, person: str, project: str, role: str | None) -> None:
        key = {"person": person, "project": project, "issuer": self._issuer}
        _forget(tx, **key)
        if role is not None:
            tx.sql.execute(given_roles.insert().values(**key, role=role))


def remember_end(tx: Tx, project: Project, email: str) -> None:
    """No group of any provider brings back who has ended."""
    key = {"person": email.lower(), "project": project.id, "issuer": EVERY_ISSUER}
    _forget(tx, **key)
    tx.sql.execute(given_roles.insert().values(**key, role=BY_HAND))


def _forget(tx: Tx, **columns: str) -> None:
    is_it = (given_roles.c[name] == value for name, value in columns.items())
    tx.sql.execute(delete(given_roles).where(*is_it))
