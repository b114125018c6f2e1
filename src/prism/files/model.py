"""Files of a workspace in the API, and problems with requests about them."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from prism.errors import Conflict, Denied, Invalid, NotFound

Kind = Literal["file", "folder", "link", "other"]
"""`other` is a socket, a pipe or a device."""


class RangeNotSatisfiable(Invalid, code="RANGE_NOT_SATISFIABLE"):
    """The file has no bytes in that range."""


class FileMissing(NotFound, code="FILE_NOT_FOUND"):
    """There is no such file or folder in the workspace."""


class WrongFileKind(Conflict, code="WRONG_FILE_KIND"):
    """The operation does not work with a file of that kind."""


class FolderNotEmpty(Conflict, code="FOLDER_NOT_EMPTY"):
    """The folder is not empty."""


class DiskFull(Conflict, code="DISK_FULL"):
    """The disk of the workspace is full."""


class FileForbidden(Denied, code="FILE_PERMISSION_DENIED"):
    """The permissions of the file or folder in the workspace do not allow it."""


class FileOperationFailed(Conflict, code="FILE_OPERATION_FAILED"):
    """The file system of the workspace refused."""


class UploadOffset(Conflict, code="UPLOAD_OFFSET"):
    """The upload does not continue where the part that was received ends."""


class UploadInProgress(Conflict, code="UPLOAD_IN_PROGRESS"):
    """Another client is uploading this file right now."""


class FileEntry(Struct, frozen=True, kw_only=True):
    """One entry of a folder; `size` and `modified` are null if they were not readable."""

    name: str
    kind: Kind
    size: int | None
    modified: datetime | None
    addressable: bool = True
    """False for a name that is not UTF-8: it is shown with replacement characters."""


class FolderListing(Struct, frozen=True, kw_only=True):
    """The entries of a folder, by name; `truncated` means that there are more."""

    instance_name: str
    path: str
    entries: tuple[FileEntry, ...]
    truncated: bool


class NewFolder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a folder; missing parents are made too."""

    path: str


class FileRenaming(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file or folder, and its new path; both are paths below the home."""

    path: str
    to: str


class FileChange(Struct, frozen=True, kw_only=True):
    """The change of a path."""

    instance_name: str
    path: str
    message: str


class UploadReceipt(Struct, frozen=True, kw_only=True):
    """How much of an upload was received; `complete` once the file has its name."""

    instance_name: str
    path: str
    received: int
    complete: bool
