"""A `Wire` to a scripted server."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from prism.client.transport.address import DaemonAddress
from prism.client.transport.wire import Wire
from tests.client.scripted import Scripted


@pytest.fixture
def home() -> Iterator[Path]:
    """A home with a path that is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="prism-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server(home: Path) -> Iterator[Scripted]:
    server = Scripted.on_path(home / "prism.sock")
    yield server
    server.close()


@pytest.fixture
def wire(home: Path, server: Scripted) -> Wire:
    return Wire(DaemonAddress(str(home)), timeout=120)
