"""A lab server for the tests of this folder, and the person who logs in to it."""

from collections.abc import Iterator

import pytest

from prism.providers.ssh.server import LabServer
from tests.attacks.ordinary import can_be_ordinary
from tests.providers.aws.ssh_machine import by_root
from tests.providers.ssh.lab import Lab, running_lab

LAB = [by_root, pytest.mark.skipif(not can_be_ordinary(), reason="needs another user's sandbox")]


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A server that runs, and the home of the person."""
    with running_lab(monkeypatch) as machine:
        yield machine


@pytest.fixture
def server(lab: Lab) -> Iterator[LabServer]:
    """A connection to it, as the person makes one."""
    connection = LabServer("gpu1")
    try:
        yield connection
    finally:
        connection.close()
