"""A database of each kind, and a small application for the tests of the kit."""

from collections.abc import Iterator

import pytest

from prism.kit.clock import StoppedClock
from prism.kit.db import Database
from prism.kit.events import Bus
from prism.kit.tables import metadata
from tests.kit.notes_app import NotesApp, application


@pytest.fixture
def db(url: str, clock: StoppedClock) -> Iterator[Database]:
    """An empty database of each kind."""
    database = Database(url, clock, Bus())
    metadata.create_all(database.writer)
    yield database
    database.close()


@pytest.fixture
def notes_app(db: Database, clock: StoppedClock) -> NotesApp:
    """An application with notes, behind the middleware of the kit."""
    return application(db, clock)
