"""Gives a copied home an identity of its own: `python -m prism.daemon.home_identity`."""

import argparse
import secrets
import shlex
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from prism.daemon.answer import print_answer
from prism.daemon.backups import exclusive
from prism.errors import Conflict, NotFound
from prism.home import port_file
from prism.profiles.providers import LOCAL
from prism.providers.local.location import RECORD, read_record, write_record
from prism.settings import Settings

IN_CLOUDS = "SELECT count(*) FROM workspaces WHERE ended_at IS NULL AND place NOT LIKE ?"


def new_identity(settings: Settings) -> dict[str, Any]:
    """Give the home another identity; its next daemon gives its rows to that."""
    home = settings.folder
    if not (home / RECORD).exists() and not (home / "state.db").exists():
        raise NotFound(
            f"{home} is not a home of Prism", remediation="Set PRISM_HOME to the copied home"
        )
    with exclusive(settings):
        parts = make_url(settings.database)
        if parts.get_backend_name() != "sqlite":
            _require_no_folders(home)
        before = read_record(home)
        after = write_record(home, secrets.token_hex(16))
        Path(port_file(str(home))).unlink(missing_ok=True)  # the original listens there
        return {
            "home": str(home),
            "id": after.id,
            "previous": before and before.id,
            "shared_workspaces": _cloud_workspaces(Path(parts.database or "")),
        }


def _require_no_folders(home: Path) -> None:
    """Raise if a home on a shared database has workspaces, whose rows the original has."""
    for folder in (home / "workspaces", home / "storage" / "volumes"):
        if folder.is_dir() and any(
            path.name.startswith(("local-", "vol-", "fs-")) for path in folder.iterdir()
        ):
            raise Conflict(
                f"{folder} has copies of what the original home has",
                details="both homes use one database, in which each workspace is there once",
                remediation=f"Move the copies away: `mv {shlex.quote(str(folder))} SOMEWHERE`",
            )


def _cloud_workspaces(file: Path) -> int:
    """How many workspaces outside of this computer both homes have now."""
    try:
        with closing(sqlite3.connect(file)) as sql:
            [[count]] = sql.execute(IN_CLOUDS, (f"{LOCAL}:%",))
            return int(count)
    except sqlite3.Error:  # there is no database yet
        return 0


def main(words: Sequence[str] | None = None) -> int:
    """Give the home of this environment another identity; prints the result or the error."""
    argparse.ArgumentParser(prog="prism.daemon.home_identity").parse_args(words)
    return print_answer("change", lambda: new_identity(Settings.load()))


if __name__ == "__main__":
    sys.exit(main())
