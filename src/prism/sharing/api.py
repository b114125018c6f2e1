"""Shares over HTTP."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from prism.kit.routes import Routes
from prism.sharing.model import (
    EndedShare,
    NewShare,
    OwnShares,
    ShareList,
    ShareShown,
    ShareWoken,
)
from prism.sharing.service import ShareService

Shares = NamedDependency[ShareService]
router = Routes("/api/v1", tags=["sharing"])


@router.get("/instances/{name:str}/shares", sync_to_thread=True)
def list_shares(name: FromPath[str], shares: Shares) -> ShareList:
    """The shares of a workspace."""
    rows = shares.of_workspace(name)
    return ShareList(tuple(rows), len(rows))


@router.post("/instances/{name:str}/shares", sync_to_thread=True)
def create_share(name: FromPath[str], data: JSONBody[NewShare], shares: Shares) -> ShareShown:
    """Share one app of your workspace, or what your terminal shows, until a time."""
    return shares.create(name, data)


@router.get("/shares", sync_to_thread=True)
def own_shares(shares: Shares) -> OwnShares:
    """What you share, and what others share with you."""
    return shares.mine()


@router.delete("/shares/{id:str}", status_code=200, sync_to_thread=True)
def end_share(id: FromPath[str], shares: Shares) -> EndedShare:
    """End a share; open connections end at once."""
    shares.end(id)
    return EndedShare("The share has ended, and so have its connections")


@router.post("/shares/{id:str}/wake", status_code=200, sync_to_thread=True)
def wake_shared(id: FromPath[str], shares: Shares) -> ShareWoken:
    """Start or resume a workspace that is shared with you, if its owner allows that."""
    workspace, state = shares.wake(id)
    return ShareWoken(f"{workspace.name} is {state}", state)
