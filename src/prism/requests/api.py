"""Requests for more over HTTP."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from prism.kit.routes import Routes
from prism.requests.model import (
    MoreRequestList,
    MoreRequestShown,
    MoreState,
    NewMoreRequest,
    Refusal,
)
from prism.requests.service import MoreRequestService

MoreRequests = NamedDependency[MoreRequestService]
Id = FromPath[str]
OfState = Annotated[MoreState | None, QueryParameter(name="state")]
router = Routes("/api/v1/requests", tags=["requests"])


@router.get(sync_to_thread=True)
def list_requests(more_requests: MoreRequests, of_state: OfState = None) -> MoreRequestList:
    """Your requests for more, and those that you may answer."""
    return more_requests.every(of_state)


@router.post(sync_to_thread=True)
def request_more(data: JSONBody[NewMoreRequest], more_requests: MoreRequests) -> MoreRequestShown:
    """Request more money, time, size, workspaces or GPUs."""
    return more_requests.make(data)


@router.post("/{request_id:str}/grant", status_code=200, sync_to_thread=True)
def grant_request(request_id: Id, more_requests: MoreRequests) -> MoreRequestShown:
    """Grant a request, and carry it out with your rights."""
    return more_requests.grant(request_id)


@router.post("/{request_id:str}/refuse", status_code=200, sync_to_thread=True)
def refuse_request(
    request_id: Id, data: JSONBody[Refusal], more_requests: MoreRequests
) -> MoreRequestShown:
    """Refuse a request."""
    return more_requests.refuse(request_id, data.reason)


@router.delete("/{request_id:str}", status_code=200, sync_to_thread=True)
def withdraw_request(request_id: Id, more_requests: MoreRequests) -> MoreRequestShown:
    """Withdraw a request of yours."""
    return more_requests.withdraw(request_id)
