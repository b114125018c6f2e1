"""Copies at destinations over HTTP: these routes wait for the destination."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from prism.copies.model import FetchRequest, ForgottenCopy, RemoteCopyItem
from prism.copies.remote import RemoteCopyReader
from prism.copies.service import CopyService
from prism.kit.http import WITHOUT_KEY
from prism.kit.routes import Routes
from prism.storage.model import SnapshotItem

Remote = NamedDependency[RemoteCopyReader]
At = Annotated[str, QueryParameter(description="The destination of the copies")]
ByProfile = Annotated[
    str | None, QueryParameter(description="For S3: the profile whose AWS login is used")
]
router = Routes("/api/v1/remote-copies", tags=["copies"])


@router.get(sync_to_thread=True)
def list_remote_copies(
    remote_copies: Remote, destination: At, profile: ByProfile = None
) -> list[RemoteCopyItem]:
    """What is at a destination, whichever computer copied it there."""
    return remote_copies.listing(destination, profile)


# A second request is refused, because the name of the snapshot is taken.
@router.post("/fetch", sync_to_thread=True, opt={WITHOUT_KEY: True})
def fetch_snapshot(
    data: JSONBody[FetchRequest],
    remote_copies: Remote,
    copies: NamedDependency[CopyService],
) -> SnapshotItem:
    """Request a snapshot with the data of a copy, on this computer."""
    remote = remote_copies.named(data.destination, data.copy, data.profile)
    return copies.fetch(data, remote)


@router.delete("/{id:str}", status_code=200, sync_to_thread=True)
def delete_remote_copy(
    id: FromPath[str],
    remote_copies: Remote,
    copies: NamedDependency[CopyService],
    destination: At,
    profile: ByProfile = None,
) -> ForgottenCopy:
    """Destroy one copy at a destination, and the data that no other copy there needs."""
    remote = remote_copies.delete(destination, id, profile)
    return ForgottenCopy(copies.deleted(destination, remote))
