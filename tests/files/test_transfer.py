"""Bodies of requests, a piece at a time."""

import asyncio

import pytest

from prism.files.transfer import PIECE, incoming
from prism.kit.envelope import InvalidRequest


class RecordingFile:
    """A file that remembers what was written, a piece at a time."""

    def __init__(self):
        self.pieces = []

    def write(self, piece):
        self.pieces.append(piece)

    def finish(self):
        raise NotImplementedError

    def close(self, *, discard):
        raise NotImplementedError


def came(*messages, most=None):
    """What is kept of a body that comes in these messages, and how it ended."""
    left, target = list(messages), RecordingFile()

    async def receive():
        return left.pop(0)

    try:
        return target.pieces, asyncio.run(incoming(receive, target, most))
    except InvalidRequest as why:
        return target.pieces, why.details


def part(content, more=True):
    return {"type": "http.request", "body": content, "more_body": more}


GONE = {"type": "http.disconnect"}


def test_a_body_is_written_in_pieces():
    assert came(part(b"a" * PIECE), part(b"b"), part(b"", more=False)) == (
        [b"a" * PIECE, b"b"],
        PIECE + 1,
    )


@pytest.mark.parametrize("most", [None, PIECE * 2])
def test_what_came_before_a_body_broke_off_is_kept(most):
    whole = b"a" * PIECE
    assert came(part(whole), part(b"bc"), GONE, most=most) == (
        [whole, b"bc"],
        "The request ended before its body was complete",
    )
    assert came(GONE, most=most)[0] == []


def test_more_than_is_missing_is_not_written():
    content, why = came(part(b"0123", more=False), most=3)
    assert (content, "more than the 3 bytes" in why) == ([], True)
