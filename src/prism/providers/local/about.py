"""What the folder of a volume or snapshot says of itself, in `about.json`."""

from msgspec import Struct

from prism.storage.ports import Known


class About(Struct, frozen=True):
    """What a folder says of itself."""

    key: str
    name: str = ""
    used: int | None = None  # of a snapshot, which never changes
    known: Known | None = None
    one_moment: bool | None = None  # these two of a snapshot
    hashed: bool = True
