"""Limits of people and tokens over HTTP."""

from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from prism.kit.routes import Routes
from prism.limits.model import LimitChange, LimitList, LimitShown, OwnLimits, RemovedLimit
from prism.limits.service import LimitService

Limits = NamedDependency[LimitService]
router = Routes("/api/v1/limits", tags=["limits"])


@router.get(sync_to_thread=True)
def list_limits(limits: Limits, *, project: FromQuery[str | None] = None) -> LimitList:
    """The limits in a project; for the operator, all by default."""
    rows = limits.every(project)
    return LimitList(tuple(rows), len(rows))


@router.put(sync_to_thread=True)
def set_limit(data: JSONBody[LimitChange], limits: Limits) -> LimitShown:
    """Limit what a person, a token or a role in a project may use."""
    return limits.set(data)


@router.get("/mine", sync_to_thread=True)
def own_limits(limits: Limits) -> OwnLimits:
    """The limits that apply to you, and how much of each is used."""
    return limits.mine()


@router.delete("/{id:str}", status_code=200, sync_to_thread=True)
def remove_limit(
    id: FromPath[str], limits: Limits, *, project: FromQuery[str | None] = None
) -> RemovedLimit:
    """Remove a limit; an owner names the project."""
    limit = limits.remove(id, project)
    return RemovedLimit(f"The limit of {limit.subject} was removed")
