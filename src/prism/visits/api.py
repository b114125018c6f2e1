"""Visits over HTTP."""

from litestar.di import NamedDependency
from litestar.params import FromPath

from prism.kit.routes import Routes
from prism.visits.model import VisitList
from prism.visits.service import VisitService

router = Routes("/api/v1", tags=["workspaces"])


@router.get("/instances/{name:str}/visits", sync_to_thread=True)
def list_visits(name: FromPath[str], visits: NamedDependency[VisitService]) -> VisitList:
    """Who else is in a workspace, or was there in the last 90 days, and by which way."""
    rows = visits.of_workspace(name)
    return VisitList(tuple(rows), len(rows))
