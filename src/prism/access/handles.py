"""The short, unique name of each person who owns something, for full names (`mine--ada`).

A handle is given once and never changes, since it is part of host names and of what people have
written down.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Column, Connection, String, Table, select

from prism.access.model import current
from prism.access.names import full_name
from prism.kit.db import Database, Tx
from prism.kit.tables import metadata

MAX_HANDLE = 13  # characters: a name of 48, two hyphens and a handle fit into one DNS label
UNFIT = re.compile(r"[^a-z0-9]+")
handles = Table(
    "handles",
    metadata,
    Column("person", String, primary_key=True),  # the address in lower case
    Column("handle", String, nullable=False, unique=True),
)


def handle_for(person: str, taken: Collection[str]) -> str:
    """A handle that is not taken: the part of the address before the `@`, if possible."""
    plain = unicodedata.normalize("NFKD", person.partition("@")[0].lower())
    letters = plain.encode("ascii", "ignore").decode()
    own = UNFIT.sub("-", letters).strip("-")[:MAX_HANDLE].strip("-") or "person"
    handle, number = own, 1
    while handle in taken:
        number += 1
        handle = f"{own[: MAX_HANDLE - len(str(number))].rstrip('-')}{number}"
    return handle


def every(sql: Connection) -> dict[str, str]:
    """All handles, by person."""
    return {person: handle for person, handle in sql.execute(select(handles))}


def person_of(sql: Connection, handle: str) -> str | None:
    """The person with that handle."""
    query = select(handles.c.person).where(handles.c.handle == handle)
    return sql.execute(query).scalar_one_or_none()


def give(tx: Tx, owners: Iterable[str]) -> None:
    """Give a handle to each of these people who has none."""
    known = every(tx.sql)
    for person in dict.fromkeys(owner.lower() for owner in owners):
        if person not in known:
            known[person] = handle_for(person, known.values())
            row = {"person": person, "handle": known[person]}
            tx.sql.execute(handles.insert().values(**row))


def give_owner(tx: Tx, owner: str) -> None:
    """Give the owner of a new object a handle, on a shared daemon."""
    if current().team:
        give(tx, [owner])


class Handles:
    """Full names; in local mode those of the operator's own objects are the plain names."""

    def __init__(self, db: Database, operator: str, *, team: bool) -> None:
        self._db, self._operator, self._team = db, operator.lower(), team
        self._known: Mapping[str, str] | None = None

    def of(self, owner: str) -> str | None:
        """The handle of a person; None if they have none."""
        person = owner.lower()
        if self._known is None or (self._team and person not in self._known):
            with self._db.read() as sql:
                self._known = every(sql)
        return self._known.get(person)

    def full_name(self, name: str, owner: str) -> str | None:
        """The full name of an object, where it differs from its name."""
        if not self._team and owner.lower() == self._operator:
            return None
        handle = self.of(owner)
        return None if handle is None else full_name(name, handle)

    def give_missing(self, owners: Iterable[str]) -> None:
        """Give handles to these people, if this is a shared daemon."""
        if self._team and any(self.of(owner) is None for owner in {*owners}):
            with self._db.write() as tx:
                give(tx, owners)
