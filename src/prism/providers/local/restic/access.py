"""Opens the repository at a destination, and checks the destination first."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from prism.copies.destinations import REPOSITORY, CopyDestination, DestinationKind, parse
from prism.errors import Conflict, Problem
from prism.providers.local.restic.failures import RepositoryFailed, why_not_mounted
from prism.providers.local.restic.repository import Repository, S3Access, require_restic
from prism.storage.model import StorageFailure

FindS3 = Callable[[str | None, str], S3Access]
"""Where a bucket is, and the login of a profile for it; raises a `Problem` if it has none."""
Started = Callable[[subprocess.Popen[bytes]], object]


def no_s3(profile: str | None, bucket: str) -> S3Access:
    """Raise, since there is no provider with a login of AWS."""
    raise Conflict("This daemon has no access to AWS")


class OpenedRepository(NamedTuple):
    """A repository, and whether it is on the disk of the home."""

    repository: Repository
    same_disk: bool | None


class RepositoryAccess:
    """Opens repositories, for one home."""

    def __init__(self, home: Path, find_s3: FindS3, password_file: str = "") -> None:
        self._home, self._find_s3, self._password_file = home, find_s3, password_file

    def open(
        self, text: str, profile: str | None = None, started: Started = lambda _: None
    ) -> OpenedRepository:
        """The repository at a destination, which may not exist; raises `RepositoryFailed`."""
        require_restic()
        destination, s3, same_disk = parse(text), None, None
        if self._password_file and not os.access(self._password_file, os.R_OK):
            raise RepositoryFailed(
                StorageFailure(
                    "PASSPHRASE_MISSING",
                    f"PRISM_COPY_PASSWORD_FILE is {self._password_file}, which cannot be read",
                )
            )
        if destination.kind is DestinationKind.FOLDER:
            same_disk = self._check_folder(destination)
        elif destination.kind is DestinationKind.S3:
            try:
                s3 = self._find_s3(profile, destination.bucket)
            except Problem as why:
                message = ". ".join(filter(None, (why.message, why.details, why.remediation)))
                raise RepositoryFailed(StorageFailure(why.code, message)) from why
        return OpenedRepository(
            Repository(destination, self._password_file, s3, started), same_disk
        )

    def _check_folder(self, destination: CopyDestination) -> bool:
        """Refuse what is no place for copies; whether it is on the disk of the home."""
        folder = Path(destination.path)
        try:
            real, status = folder.resolve(strict=True), folder.stat()
        except FileNotFoundError:
            raise RepositoryFailed(
                why_not_mounted(destination, f"The folder {folder} does not exist")
            ) from None
        except OSError as error:
            raise RepositoryFailed(
                StorageFailure("DESTINATION_FORBIDDEN", f"{folder}: {error.strerror}")
            ) from error
        if not folder.is_dir():
            raise RepositoryFailed(
                StorageFailure("DESTINATION_INVALID", f"{folder} is not a folder")
            )
        if real.is_relative_to(self._home.resolve()):
            message = f"{folder} is in Prism's home, and would be lost with it"
            raise RepositoryFailed(StorageFailure("DESTINATION_INVALID", message))
        if not (folder / REPOSITORY).exists() and not os.access(folder, os.W_OK | os.X_OK):
            message = f"There is no permission to write to {folder}"
            raise RepositoryFailed(StorageFailure("DESTINATION_FORBIDDEN", message))
        return status.st_dev == self._home.stat().st_dev
