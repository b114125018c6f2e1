"""PostgreSQL behind a network that is slow or stalls for a while."""

import asyncio
import contextlib
import threading

import pytest

from tests.faults.checker import Checker, Request
from tests.faults.site import LocalSite, PostgresDatabase
from tests.waiting import eventually

SLOW = 0.01  # seconds of delay of every piece, in both directions


class Relay:
    """A relay before the Unix socket of a server that delays or holds back data."""

    def __init__(self, folder, database):
        self.folder = folder
        where = database.url.query
        name = f".s.PGSQL.{where['port']}"
        self._there, self._here = f"{where['host']}/{name}", str(folder / name)
        self.url = database.url.update_query_dict({"host": str(folder)})
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._open.set()
        self._tasks = set()
        self.pieces, self.delay = 0, 0.0

    @contextlib.contextmanager
    def running(self):
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        self._do(self._serve())
        try:
            yield self
        finally:
            self._do(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    @contextlib.contextmanager
    def stalled(self):
        """No data passes, and connections stay open."""
        self._loop.call_soon_threadsafe(self._open.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._open.set)

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _serve(self):
        self._server = await asyncio.start_unix_server(self._connected, self._here)

    async def _end(self):
        self._server.close()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        try:
            back, forth = await asyncio.open_unix_connection(self._there)
            await asyncio.gather(self._pass(reader, forth), self._pass(back, writer))
        except OSError:
            writer.close()
        finally:
            self._tasks.discard(asyncio.current_task())

    async def _late(self):
        """Wait for the delay of a piece."""
        arrived = self._loop.create_future()
        self._loop.call_later(self.delay, arrived.set_result, None)
        await arrived

    async def _pass(self, source, target):
        try:
            while piece := await source.read(65536):
                await self._late()
                await self._open.wait()
                self.pieces += 1
                target.write(piece)
                await target.drain()
        finally:
            target.close()


@pytest.fixture
def distant_database(tmp_path, copy_database):
    """A daemon with a distant database, and the relay between them."""
    database = PostgresDatabase(copy_database("template1", to="far_away"))
    folder = tmp_path / "relay"
    folder.mkdir()
    relay = Relay(folder, database)
    site = LocalSite(tmp_path, database)
    site.more["PRISM_DATABASE_URL"] = relay.url.render_as_string(hide_password=False)
    with relay.running():
        try:
            site.start()  # creates the tables without a delay, in hundreds of statements
            relay.delay = SLOW
            yield site, relay
        finally:
            site.close()
            database.close()


def create_project_request(checker, name):
    return Request("POST", "/projects", {"name": name}, lambda _: checker.projects.add(name))


@pytest.mark.slow  # `test_database_faults.py` tests a PostgreSQL that is away
@pytest.mark.timeout(300)
def test_answered_writes_survive_a_slow_and_a_stalled_database_network(distant_database):
    site, relay = distant_database
    checker, before = Checker(site), relay.pieces
    launch = {"name": "mine", "template": "Plain Shell"}
    checker.send_until_answered(
        Request("POST", "/instances/launch", launch, checker.launched("mine"))
    )
    checker.send_until_answered(create_project_request(checker, "one"))
    assert relay.pieces > before + 50, "the daemon does not use the relay"
    checker.wait_until_settled()
    with relay.stalled():
        held = create_project_request(checker, "held")
        assert not checker.send(held), "answered although the network is stalled"
        eventually(lambda: site.home.client.daemon.status().status == "degraded", 120)
    checker.send_until_answered(held)
    eventually(lambda: site.home.client.daemon.status().status == "healthy", 120)
    checker.wait_until_settled()
