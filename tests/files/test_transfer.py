"""Bodies of requests, a piece at a time."""

import asyncio

import pytest

from prism.files.transfer import FILE_CHUNK, incoming
from prism.kit.envelope import InvalidRequest


class RecordingFile:
    """A file that records the pieces that were written to it."""

    def __init__(self):
        self.pieces = []

    def write(self, piece):
        self.pieces.append(piece)

    def finish(self):
        raise NotImplementedError

    def close(self, *, discard):
        raise NotImplementedError


def received(*messages, most=None):
    """The pieces written of a body that arrives in these messages, and how it ended."""
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


def test_body_is_written_in_pieces():
    assert received(part(b"a" * FILE_CHUNK), part(b"b"), part(b"", more=False)) == (
        [b"a" * FILE_CHUNK, b"b"],
        FILE_CHUNK + 1,
    )


@pytest.mark.parametrize("most", [None, FILE_CHUNK * 2])
def test_content_before_an_interrupted_body_is_written(most):
    whole = b"a" * FILE_CHUNK
    assert received(part(whole), part(b"bc"), GONE, most=most) == (
        [whole, b"bc"],
        "The request ended before its body was complete",
    )
    assert received(GONE, most=most)[0] == []


def test_body_longer_than_the_remaining_size_is_not_written():
    content, why = received(part(b"0123", more=False), most=3)
    assert (content, "more than the 3 bytes" in why) == ([], True)
