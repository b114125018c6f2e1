"""Names of objects in lists: on a shared daemon, several people may have the same one."""

from __future__ import annotations

from prism.annotations import Any, Iterable


def unique_name(row: dict[str, Any]) -> str:
    """The name that means this object only, whoever uses it."""
    return str(row.get("full_name") or row["name"])


def shortest_names(rows: Iterable[dict[str, Any]]) -> list[str]:
    """The name of each object; its full name if another person has one of that name too."""
    rows = list(rows)
    full_names: dict[str, set[str]] = {}
    for row in rows:
        full_names.setdefault(row["name"], set()).add(unique_name(row))
    return [
        unique_name(row) if len(full_names[row["name"]]) > 1 else str(row["name"]) for row in rows
    ]
