"""The head of an answer goes out with its body, and alone if that does not come at once."""

import asyncio

from prism.kit.raw_response import HeldHead


class Transport(asyncio.Transport):
    """Keeps what one call each has written."""

    def __init__(self):
        super().__init__()
        self.written: list[bytes] = []
        self.closing = False

    def write(self, data):
        self.written.append(data)

    def writelines(self, pieces):
        self.written.append(b"".join(pieces))

    def is_closing(self):
        return self.closing

    def close(self):
        self.closing = True


def written(use):
    async def run():
        transport = Transport()
        await use(HeldHead(transport, asyncio.get_running_loop()))
        return transport

    return asyncio.run(run())


def test_a_head_and_its_body_are_one_piece():
    async def use(held):
        for piece in (b"head", b"body", b"more"):
            held.write(piece)
        await asyncio.sleep(0)

    assert written(use).written == [b"headbody", b"more"]


def test_a_head_alone_does_not_wait():
    async def use(held):
        held.write(b"head")
        await asyncio.sleep(0)
        held.write(b"event")

    assert written(use).written == [b"head", b"event"]


def test_a_connection_closes_after_its_head():
    async def use(held):
        held.write(b"head")
        held.close()

    transport = written(use)
    assert (transport.written, transport.is_closing()) == ([b"head"], True)
