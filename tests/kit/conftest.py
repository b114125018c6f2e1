"""What the kit is tried with: a database of each kind, and a small application."""

import pytest

from prism.kit.db import Database
from prism.kit.events import Bus
from tests.kit.small import application


@pytest.fixture
def db(url, clock):
    """An empty database of each kind."""
    one = Database(url, clock, Bus())
    one.create_tables()
    yield one
    one.close()


@pytest.fixture
def small(db, clock):
    """Notes, behind the kit's own middleware."""
    return application(db, clock)
