"""Client methods for files of workspaces."""

from __future__ import annotations

from os import fspath

from prism.annotations import BinaryIO, Iterator, PathLike
from prism.client.models import files
from prism.client.transport import transfer
from prism.client.transport.request import Noun
from prism.client.transport.transfer import files_of
from prism.client.transport.wire import query


class Files(Noun):
    """Methods for files; `name` is a workspace's name or instance id.

    Paths are relative to the home of the workspace. Files of a local workspace can also be
    reached while it does not run.
    """

    def list(self, name: str, path: str = "", limit: int = 1000) -> files.FolderListing:
        """The entries of a folder."""
        address = files_of(name) + query(path=path, limit=limit)
        return self._ask("GET", address, files.FolderListing)

    def read(self, name: str, path: str, first: int = 0) -> Iterator[bytes]:
        """The content of a file, piece by piece, from that byte on."""
        return transfer.content(self._wire, name, path, first)

    def download(self, name: str, path: str, target: str | PathLike[str]) -> int:
        """Copy a file to a local path, replacing an existing file; its size in bytes."""
        return transfer.download(self._wire, name, path, fspath(target))

    def upload(
        self,
        name: str,
        source: str | PathLike[str] | BinaryIO,
        path: str,
        *,
        replace: bool = False,
    ) -> files.UploadReceipt:
        """Upload a file, given by its path or open; `replace` overwrites an existing one."""
        if isinstance(source, str) or hasattr(source, "__fspath__"):
            with open(source, "rb") as file:
                answer = transfer.upload(self._wire, name, file, path, replace=replace)
        else:
            answer = transfer.upload(self._wire, name, source, path, replace=replace)
        return self._wire.converted(answer, files.UploadReceipt, files_of(name, "content"))

    def make_folder(self, name: str, path: str) -> files.FileChange:
        """Make a folder and its parents."""
        body = files.NewFolder(path=path)
        return self._ask("POST", files_of(name, "folder"), files.FileChange, body)

    def rename(self, name: str, path: str, to: str) -> files.FileChange:
        """Rename or move a file or folder; nothing is replaced."""
        body = files.FileRenaming(path=path, to=to)
        return self._ask("POST", files_of(name, "rename"), files.FileChange, body)

    def remove(self, name: str, path: str, *, recursive: bool = False) -> files.FileChange:
        """Remove a file, an empty folder, or with `recursive` a folder with its content."""
        address = files_of(name) + query(path=path, recursive="true" if recursive else None)
        return self._ask("DELETE", address, files.FileChange)
