"""The tables of projects and members, and all SQL about them."""

from collections import defaultdict
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    String,
    Table,
    UniqueConstraint,
    and_,
    bindparam,
    delete,
    false,
    or_,
    select,
    update,
)

from prism.access.model import PersonRoles, Role
from prism.kit.database.versions import once, topic
from prism.kit.db import Tx
from prism.kit.ids import sortable_id
from prism.kit.tables import Utc, leased, metadata, select_struct, structs_of
from prism.projects.model import Member, Project, ProjectName, ProjectNotFound

PROJECTS = "projects"  # a topic
projects = Table(
    "projects",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("description", String, nullable=False),
    Column("cap", BigInteger),
    Column("set_by_owner", Boolean, nullable=False, server_default=false()),
    Column("alert_threshold", Float, nullable=False),
    Column("auto_hibernate_threshold", Float),
    Column("prevent_launch_threshold", Float, nullable=False),
    Column("created_by", String, nullable=False),
    Column("created_at", Utc, nullable=False),
    info=topic(PROJECTS),
)
members = Table(
    "members",
    metadata,
    Column("project", String, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("email", String, primary_key=True, index=True),  # in lower case
    Column("role", String, nullable=False),
    Column("join_date", Utc, nullable=False),
    info=topic(PROJECTS),
)
# A row is the end of a membership; a loop removes the member at that time.
member_ends = Table(
    "member_ends",
    metadata,
    Column("id", String, primary_key=True),
    Column("project", String, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("email", String, nullable=False),  # in lower case
    Column("until", Utc, nullable=False),
    Column("at_end", String, nullable=False),
    Column("to", String),
    *leased("member_ends"),
    UniqueConstraint("project", "email"),
    info=topic(PROJECTS),
)
ended = Table(  # what deleted ones were called: the ledger still names them
    "ended_projects",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("ended_at", Utc, nullable=False),
)
SELECT_PROJECTS = select_struct(projects, Project)
WITH_END = and_(member_ends.c.project == members.c.project, member_ends.c.email == members.c.email)
MEMBERS = (
    select(
        *(members.c[name] for name in ("email", "role", "join_date")),
        *(member_ends.c[name] for name in ("until", "at_end", "to")),
    )
    .select_from(members.outerjoin(member_ends, WITH_END))
    .order_by(members.c.join_date, members.c.email)
)
FOUND = SELECT_PROJECTS.where(
    or_(projects.c.id == bindparam("of"), projects.c.name == bindparam("of"))
)


def every(sql: Connection) -> list[Project]:
    """All projects, the oldest first."""
    return structs_of(sql, Project, SELECT_PROJECTS.order_by(projects.c.id))


def find(sql: Connection, name: str) -> Project | None:
    """The project with that id or name; an id counts first."""
    matches = once(sql, (PROJECTS,), name, lambda: structs_of(sql, Project, FOUND, {"of": name}))
    return max(matches, key=lambda project: project.id == name, default=None)


def named(sql: Connection, name: str) -> Project:
    """The project with that id or name; raises if there is none."""
    if project := find(sql, name):
        return project
    raise not_found(name)


def not_found(name: str) -> ProjectNotFound:
    """The problem if there is no project of that name."""
    return ProjectNotFound(
        f"Project {name!r} not found",
        remediation="Use `prism project list` to see available projects",
    )


def add(tx: Tx, project: Project) -> None:
    """Add a project."""
    tx.sql.execute(projects.insert().values(**msgspec.structs.asdict(project)))


def put(tx: Tx, project: Project) -> None:
    """Store a changed project."""
    values = msgspec.structs.asdict(project)
    tx.sql.execute(update(projects).where(projects.c.id == project.id).values(**values))


def remove(tx: Tx, project: Project, at: datetime) -> None:
    """Delete a project and its members; its name stays, for the ledger."""
    tx.sql.execute(delete(member_ends).where(member_ends.c.project == project.id))
    tx.sql.execute(delete(members).where(members.c.project == project.id))
    tx.sql.execute(delete(projects).where(projects.c.id == project.id))
    tx.sql.execute(ended.insert().values(id=project.id, name=project.name, ended_at=at))


def names(sql: Connection) -> dict[str, str]:
    """The names of all projects by id, also of deleted ones."""
    every_one = select(projects.c.id, projects.c.name).union_all(select(ended.c.id, ended.c.name))
    return {id: name for id, name in sql.execute(every_one)}


def find_ever(sql: Connection, name: str) -> ProjectName | None:
    """The project with that id or name; else the last deleted one with that name."""
    if project := find(sql, name):
        return ProjectName(project.id, project.name)
    either = or_(ended.c.id == name, ended.c.name == name)
    last = select(ended.c.id, ended.c.name).where(either).order_by(ended.c.ended_at.desc())
    row = sql.execute(last.limit(1)).first()
    return None if row is None else ProjectName(*row)


def named_ever(sql: Connection, name: str) -> ProjectName:
    """The project, also if it was deleted; raises if there has never been such a project."""
    if project := find_ever(sql, name):
        return project
    raise not_found(name)


def all_members(sql: Connection) -> dict[str, list[Member]]:
    """All members, by project, in the order of joining."""
    by_project = defaultdict(list)
    for *fields, project in sql.execute(MEMBERS.add_columns(members.c.project)):
        by_project[project].append(_member(fields))
    return by_project


def members_of(sql: Connection, project: str) -> list[Member]:
    """The members of a project, in the order of joining."""
    return structs_of(sql, Member, MEMBERS.where(members.c.project == project))


def add_member(tx: Tx, project: str, member: Member) -> None:
    """Add a member."""
    row = {"email": member.email, "role": member.role, "join_date": member.join_date}
    tx.sql.execute(members.insert().values(project=project, **row))
    put_end(tx, project, member)


def put_end(tx: Tx, project: str, member: Member) -> None:
    """Store when a membership ends, which the loop then looks at; without an end, remove it."""
    _remove_end(tx, project, member.email)
    if member.until is not None:
        row = {
            "id": sortable_id("end", member.until),
            "project": project,
            "email": member.email.lower(),
            "until": member.until,
            "at_end": member.at_end,
            "to": member.to,
            "due_at": member.until,
        }
        tx.sql.execute(member_ends.insert().values(**row))


def _remove_end(tx: Tx, project: str, email: str) -> None:
    is_it = and_(member_ends.c.project == project, member_ends.c.email == email.lower())
    tx.sql.execute(delete(member_ends).where(is_it))


def membership_of_end(sql: Connection, id: str) -> tuple[str, str] | None:
    """The project and the address in a row of `member_ends`, if it is still there."""
    query = select(member_ends.c.project, member_ends.c.email).where(member_ends.c.id == id)
    row = sql.execute(query).first()
    return None if row is None else (row.project, row.email)


def member(sql: Connection, project: str, email: str) -> Member | None:
    """The member with that address, also one whose time is over and who is still listed."""
    email = email.lower()
    return next((member for member in members_of(sql, project) if member.email == email), None)


def present_member(sql: Connection, project: str, email: str, now: datetime) -> Member | None:
    """The member with that address, whose time is not over."""
    listed = member(sql, project, email)
    return None if listed is None or listed.is_over(now) else listed


def change_member(tx: Tx, project: str, email: str, role: Role) -> None:
    """Change a member's role."""
    membership = and_(members.c.project == project, members.c.email == email.lower())
    tx.sql.execute(update(members).where(membership).values(role=role))


def remove_member(tx: Tx, project: str, email: str) -> None:
    """Delete a member."""
    _remove_end(tx, project, email)
    membership = and_(members.c.project == project, members.c.email == email.lower())
    tx.sql.execute(delete(members).where(membership))


def roles_of(sql: Connection, email: str, now: datetime) -> PersonRoles:
    """The present roles of a person, and their ends."""
    rows = (
        select(members.c.project, members.c.role, member_ends.c.until)
        .select_from(members.outerjoin(member_ends, WITH_END))
        .where(members.c.email == email.lower())
        .where(or_(member_ends.c.until.is_(None), member_ends.c.until > now))
    )
    present = list(sql.execute(rows))
    return PersonRoles(
        {row.project: Role(row.role) for row in present},
        {row.project: row.until for row in present if row.until is not None},
    )


def _member(row: Any) -> Member:
    return msgspec.convert(dict(zip(Member.__struct_fields__, row, strict=True)), Member)
