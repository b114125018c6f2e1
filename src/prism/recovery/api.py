"""Machines without a workspace over HTTP; for the operator only."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from prism.kit.routes import Routes
from prism.recovery.model import (
    OrphanList,
    RecoverAnswer,
    RecoveredWorkspace,
    RecoverRequest,
    TerminateOrphanRequest,
)
from prism.recovery.service import RecoveryService

Ours = NamedDependency[RecoveryService]
Id = FromPath[str]
router = Routes("/api/v1", tags=["recovery"])


@router.get("/orphans", sync_to_thread=True)
def list_orphans(recovery: Ours) -> OrphanList:
    """Prism's machines that have no workspace here, as of the last survey."""
    return recovery.orphans()


@router.post("/orphans/{id:str}/adopt", sync_to_thread=True)
def adopt_orphan(id: Id, recovery: Ours) -> RecoveredWorkspace:
    """Make a workspace from a machine."""
    return recovery.adopt(id)


@router.post("/orphans/{id:str}/terminate", status_code=200, sync_to_thread=True)
def terminate_orphan(
    id: Id, data: JSONBody[TerminateOrphanRequest], recovery: Ours
) -> RecoveredWorkspace:
    """Request that a machine is destroyed, with its disk."""
    return recovery.terminate(id, data)


@router.post("/recover", status_code=200, sync_to_thread=True)
def recover(data: JSONBody[RecoverRequest], recovery: Ours) -> RecoverAnswer:
    """Make workspaces of all our machines that have none; a dry run only lists them."""
    return recovery.recover(data)
