"""Messages on standard input and output: a kind of one letter, a length, and as many bytes."""

import os
import struct

HEAD = struct.Struct("!cI")
LONGEST = 1 << 20


def receive() -> "tuple[bytes, bytes]":
    """The next message; raises `EOFError` at the end, and `ValueError` if it is too long."""
    kind, length = HEAD.unpack(_read(HEAD.size))
    if length > LONGEST:
        raise ValueError("the message is too long")
    return kind, _read(length)


def send(kind: bytes, body: bytes) -> None:
    """Write a message."""
    write_all(HEAD.pack(kind, len(body)) + body)


def begin(nonce: str) -> None:
    """Mark where messages begin, after whatever a login shell has printed."""
    write_all(f"\n{nonce}\n".encode())


def write_all(data: bytes) -> None:
    """Write to standard output."""
    while data:
        data = data[os.write(1, data) :]


def _read(count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        if not (piece := os.read(0, count - len(data))):
            raise EOFError
        data += piece
    return bytes(data)
