"""The client for asyncio: the same requests, in threads."""

import asyncio
import inspect
import json
import threading

import pytest

from prism.client import AsyncClient, Client
from prism.workspaces.model import Instance, WorkspaceNotFound
from tests.client.filled import filled
from tests.client.scripted import problem
from tests.client.transport.test_stream import HEAD

AT = "2026-01-01T00:00:00Z"
MINE = filled(Instance, name="mine", state="running", launch_time=AT)


@pytest.fixture
def prism(home, server):
    return AsyncClient(home=str(home), timeout=120)


def test_methods_are_awaited_and_run_at_the_same_time(prism, server):
    server.on("GET /instances/mine", MINE, MINE)

    async def both():
        async with prism:
            return await asyncio.gather(*(prism.workspaces.get("mine") for _ in range(2)))

    assert [workspace.name for workspace in asyncio.run(both())] == ["mine", "mine"]


def test_problem_is_raised_where_it_is_awaited(prism, server):
    server.on("GET /instances/none", problem(404, "INSTANCE_NOT_FOUND", "no"))
    with pytest.raises(WorkspaceNotFound):
        asyncio.run(prism.workspaces.get("none"))


def test_events_are_iterated_and_left_early(prism, server):
    sent = {"id": "evt_1", "event": "happened", "at": AT, "actor": "", "subject": "", "data": {}}
    server.on("GET /events", HEAD + f"id: evt_1\ndata: {json.dumps(sent)}\n\n".encode() * 2)

    async def first():
        async for event in prism.events():
            return event.id

    assert asyncio.run(first()) == "evt_1"


def test_cancelled_request_does_not_keep_the_program(prism, server, monkeypatch):
    begun, release = threading.Event(), threading.Event()

    def hang(self, name):
        begun.set()
        release.wait(120)

    monkeypatch.setattr("prism.client.workspaces.Workspaces.get", hang)

    async def cancelled():
        task = asyncio.create_task(prism.workspaces.get("mine"))
        await asyncio.to_thread(begun.wait, 120)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert not release.is_set(), "the end of the loop did not wait for the request"
    release.set()


def test_every_noun_of_the_client_is_there(home):
    nouns = [name for name in vars(Client(home=str(home))) if not name.startswith("_")]
    asynchronous = AsyncClient(home=str(home))
    for noun in nouns:
        for method in vars(type(getattr(Client(home=str(home)), noun))):
            if not method.startswith("_"):
                assert callable(getattr(getattr(asynchronous, noun), method))
    with pytest.raises(AttributeError):
        _ = asynchronous.nothing
    assert inspect.isasyncgen(asynchronous.logs.follow("mine"))
    assert inspect.isasyncgen(asynchronous.files.read("mine", "x"))
