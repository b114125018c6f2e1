"""The search for ports, with a read model of the test."""

from types import SimpleNamespace
from typing import Any

import pytest

from prism.connections.routing import PortRouter
from prism.workspaces.model import WorkspaceNotFound, WorkspaceState


class Pages:
    """All workspaces at one moment: one that runs at this location."""

    def __init__(self, location, on_search=lambda: None):
        workspace = SimpleNamespace(name="mine", machine_id="i-1", location=location)
        self.row = SimpleNamespace(workspace=workspace, state=WorkspaceState.RUNNING)
        self.on_search = on_search

    def named(self, _):
        self.on_search()
        return self.row


def test_workspace_is_the_newest_although_another_thread_read_an_older_one():
    def relaunch():
        """Meanwhile, the workspace is launched here, and another thread finds it."""
        read_model.pages = Pages("here")
        assert router.name_in_host("mine") == "mine"

    read_model: Any = SimpleNamespace(pages=Pages("elsewhere", on_search=relaunch))
    computes: Any = {"here": SimpleNamespace()}
    router = PortRouter(read_model, computes, 8947)
    with pytest.raises(WorkspaceNotFound):
        router.name_in_host("mine")
    assert router.name_in_host("mine") == "mine"
