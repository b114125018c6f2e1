"""msgspec's knowledge of each struct, before threads use it."""

from collections.abc import Iterator

import msgspec


def prepare_structs() -> None:
    """Make msgspec learn the fields of every imported struct; call it while one thread runs.

    It learns them at the first use of a struct, and lets other threads run while it resolves
    annotations: a second thread that decodes the same struct then reads what is half written,
    which ends the whole process (segmentation fault; msgspec 0.22.0).
    """
    for kind in {*_kinds(msgspec.Struct)}:
        try:
            msgspec.json.Decoder(kind)
        except (TypeError, NameError):
            continue  # it is only encoded: its fields cannot be told apart


def _kinds(base: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)
