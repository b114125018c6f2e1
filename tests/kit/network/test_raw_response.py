"""The head of an answer is written with its body, or alone if the body does not follow at once."""

import asyncio

from prism.kit.network.raw_response import DelayedHeadTransport


class Transport(asyncio.Transport):
    """Records what each call wrote."""

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
        await use(DelayedHeadTransport(transport, asyncio.get_running_loop()))
        return transport

    return asyncio.run(run())


def test_head_and_body_are_written_together():
    async def use(held):
        for piece in (b"head", b"body", b"more"):
            held.write(piece)
        await asyncio.sleep(0)

    assert written(use).written == [b"headbody", b"more"]


def test_head_is_written_alone_if_the_body_comes_later():
    async def use(held):
        held.write(b"head")
        await asyncio.sleep(0)
        held.write(b"event")

    assert written(use).written == [b"head", b"event"]


def test_head_is_written_before_the_connection_closes():
    async def use(held):
        held.write(b"head")
        held.close()

    transport = written(use)
    assert (transport.written, transport.is_closing()) == ([b"head"], True)
