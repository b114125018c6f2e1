"""Names that only annotations need: for the type checker what they are, at run time nothing.

A command imports little: `typing` costs a cold start 2 ms, and `argparse` more.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from os import PathLike
    from socket import socket
    from typing import Any, BinaryIO, NoReturn, Self, TextIO
else:

    def __getattr__(name: str) -> None:
        if name not in __all__:
            raise AttributeError(name)


# fmt: off
__all__ = [
    "Any", "ArgumentParser", "BinaryIO", "Callable", "Generator", "Iterable", "Iterator",
    "Mapping", "Namespace", "NoReturn", "PathLike", "Self", "Sequence", "TextIO",
    "datetime", "socket",
]
# fmt: on
