"""Reads the content of a PostgreSQL dump, as `pg_restore --list --verbose` prints it.

A dump of a whole database also has the tables of other programs. The functions here choose the
entries that make Prism's tables, with their rows, sequences, indexes and constraints.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

LISTED_ENTRY = re.compile(r"(?P<number>\d+); \d+ \d+ (?P<rest>.+)")
DEPENDS, TABLE_KIND = ";\tdepends on: ", "TABLE"
# The parts of a table. Prism's tables have no views, triggers or rules.
PART_KINDS = (
    *("TABLE DATA", "SEQUENCE SET", "SEQUENCE OWNED BY", "SEQUENCE", "DEFAULT", "COMMENT"),
    *("FK CONSTRAINT", "CHECK CONSTRAINT", "CONSTRAINT", "INDEX"),
)
SCHEMA = "SCHEMA"
ENTRY_KINDS = (
    *PART_KINDS,
    TABLE_KIND,
    SCHEMA,
)  # "TABLE DATA" before "TABLE": the first match counts


@dataclass(frozen=True)
class Entry:
    """One line of a listing, and the numbers of the entries that it needs."""

    number: str
    line: str
    kind: str
    schema: str
    name: str
    needs: set[str] = field(default_factory=set)


def entries(listing: str) -> list[Entry]:
    """Parse a verbose listing; skips kinds that Prism's tables never have."""
    parsed: list[Entry] = []
    last: Entry | None = None
    for line in listing.splitlines():
        if match := LISTED_ENTRY.fullmatch(line):
            last = _entry(match["number"], line, match["rest"])
            if last is not None:
                parsed.append(last)
        elif last is not None and line.startswith(DEPENDS):
            last.needs.update(line.removeprefix(DEPENDS).split())
    return parsed


def _entry(number: str, line: str, rest: str) -> Entry | None:
    for kind in ENTRY_KINDS:
        if rest.startswith(f"{kind} "):
            schema, name, *_ = [*rest.removeprefix(f"{kind} ").split(" "), ""]
            return Entry(number, line, kind, schema, name)
    return None


def tables_of(listing: str, schema: str) -> set[str]:
    """The names of all tables that a dump has in a schema."""
    return {
        entry.name
        for entry in entries(listing)
        if entry.kind == TABLE_KIND and entry.schema == schema
    }


def selection(listing: str, schema: str, tables: Collection[str]) -> list[str]:
    """The lines that make these tables, in their order, as `pg_restore --use-list` reads them.

    A part belongs to these tables if everything that it needs does: so a foreign key from another
    program's table to one of Prism's does not.
    """
    parsed = entries(listing)
    chosen = {
        entry.number
        for entry in parsed
        if entry.kind == TABLE_KIND and entry.schema == schema and entry.name in tables
    }
    schemas = {entry.number for entry in parsed if entry.kind == SCHEMA}
    parts = [entry for entry in parsed if entry.kind in PART_KINDS]
    while more := {part.number for part in parts if _is_part(part, chosen, schemas)} - chosen:
        chosen |= more
    return [entry.line for entry in parsed if entry.number in chosen]


def _is_part(entry: Entry, chosen: Collection[str], schemas: Collection[str]) -> bool:
    needs = entry.needs - set(schemas)
    return bool(needs) and needs <= set(chosen)
