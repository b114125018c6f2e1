"""The facts in the `about.json` of a volume's or snapshot's folder."""

from msgspec import Struct

from prism.storage.ports import StorageMetadata


class About(Struct, frozen=True):
    """The content of `about.json`."""

    key: str
    name: str = ""
    used: int | None = None  # of a snapshot, which never changes
    known: StorageMetadata | None = None
    one_moment: bool | None = None  # these two of a snapshot
    hashed: bool = True
