"""The routes of files. Every path is relative to the workspace's home."""

import asyncio
from contextlib import AsyncExitStack
from typing import Annotated, Any

from litestar import Request
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from prism.access.request_lifetime import LASTS
from prism.errors import ValidationFailed
from prism.files.homes import HomeFiles
from prism.files.model import (
    FileChange,
    FileRenaming,
    FolderListing,
    NewFolder,
    RangeNotSatisfiable,
    UploadReceipt,
)
from prism.files.plan import download_name, span
from prism.files.transfer import incoming, outgoing
from prism.kit.http import RAW, WITHOUT_KEY, WRITES
from prism.kit.limits import PATIENT
from prism.kit.routes import Routes

MAX_ENTRIES = 5000  # entries of one answer
BINARY = "application/octet-stream"
# A browser always downloads files from here; it never shows or runs them on the daemon's origin.
GUARDED = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}
Name = FromPath[str]
Service = NamedDependency[HomeFiles]
Path = Annotated[str, QueryParameter(description="Below the home, such as data/input.csv")]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_ENTRIES)]
Offset = Annotated[
    int, QueryParameter(ge=0, description="How much was received before, of an upload in pieces")
]
Size = Annotated[
    int | None,
    QueryParameter(ge=0, description="Of the whole file; default: it ends with this request"),
]
CONTENT = {200: ResponseSpec(bytes, media_type=BINARY, generate_examples=False)}
router = Routes("/api/v1/instances/{name:str}/files", tags=["files"])


@router.get(sync_to_thread=True)
def list_files(name: Name, files: Service, path: Path = "", limit: Limit = 1000) -> FolderListing:
    """List a folder of a workspace; without a path, its home."""
    return files.list(name, path, limit)


@router.delete(status_code=200, sync_to_thread=True)
def remove_file(
    name: Name, files: Service, path: Path = "", *, recursive: FromQuery[bool] = False
) -> FileChange:
    """Remove a file, an empty folder, or with `recursive` a folder and everything in it."""
    return files.remove(name, path, recursive=recursive)


# They wait for a machine, which a workspace can make slow. A second request does no harm: a folder
# may exist, and nothing can be renamed twice.
@router.post("/folder", sync_to_thread=True, opt={WITHOUT_KEY: True})
def make_folder(name: Name, data: JSONBody[NewFolder], files: Service) -> FileChange:
    """Make a folder and its parents."""
    return files.make_folder(name, data.path)


@router.post("/rename", status_code=200, sync_to_thread=True, opt={WITHOUT_KEY: True})
def rename_file(name: Name, data: JSONBody[FileRenaming], files: Service) -> FileChange:
    """Rename or move a file or folder; nothing is replaced."""
    return files.rename(name, data.path, data.to)


@router.get("/content", responses=CONTENT, opt={LASTS: True})
async def read_file(
    request: Request[Any, Any, Any], name: Name, files: Service, path: Path = ""
) -> Stream:
    """The content of a file; `Range: bytes=FIRST-` gives the rest of it."""
    file_reader = await asyncio.to_thread(files.open, name, path)
    part = span(request.headers.get("range", ""), file_reader.size)
    if part and request.headers.get("if-range", file_reader.tag) != file_reader.tag:
        part = None  # it has changed since the first part was read
    headers = GUARDED | {"ETag": file_reader.tag, "Content-Disposition": download_name(path)}
    if part and not part[1]:
        await asyncio.to_thread(file_reader.close)
        raise RangeNotSatisfiable(
            details=f"The file has {file_reader.size} bytes", data={"size": file_reader.size}
        )
    first, size = part or (0, file_reader.size)
    if part:
        headers["Content-Range"] = f"bytes {first}-{first + size - 1}/{file_reader.size}"
    headers["Content-Length"] = str(size)
    if patient := dict(request.scope).get(PATIENT):
        patient()  # type: ignore[operator]
    status = 206 if part else 200
    return Stream(
        outgoing(file_reader, first, size), status_code=status, media_type=BINARY, headers=headers
    )


@router.put("/content", status_code=200, opt={RAW: True, LASTS: True})
async def write_file(
    request: Request[Any, Any, Any],
    name: Name,
    files: Service,
    path: Path = "",
    *,
    offset: Offset = 0,
    size: Size = None,
    replace: FromQuery[bool] = False,
) -> UploadReceipt:
    """Write a file: the body is its content, or with `offset` and `size` the next piece of it.

    It replaces an older file when it is complete. To continue a broken upload, send any offset: if
    it is wrong, the answer is 409 `UPLOAD_OFFSET` with `received`, the right one.
    """
    if size is not None and offset > size:
        raise ValidationFailed.of(("offset", "is behind the end of the file"))
    WRITES.set(True)
    async with AsyncExitStack() as stack:
        workspace = stack.enter_context(files.uploading(name, path))
        target = await asyncio.to_thread(files.begin, name, path, offset, replace=replace)
        discard = size is None  # without a size, an upload cannot be continued
        try:
            most = None if size is None else size - offset
            received = offset + await incoming(request.receive, target, most)
            complete = size is None or received == size
            if complete:
                await asyncio.to_thread(target.finish)
            discard = False
        finally:
            await asyncio.shield(asyncio.to_thread(target.close, discard=discard))
        if complete:
            await asyncio.to_thread(files.uploaded, workspace, path)
    return UploadReceipt(
        instance_name=workspace.name, path=path, received=received, complete=complete
    )
