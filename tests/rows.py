"""Rows of the tables."""

from prism.kit.db import Database
from prism.workspaces import store
from prism.workspaces.model import Workspace


def every_workspace(db: Database) -> list[Workspace]:
    with db.read() as sql:
        return store.every(sql)
