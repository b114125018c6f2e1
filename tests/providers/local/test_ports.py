"""Which machine owns a port, by what the kernel reports about real machines."""

import os
import socket
import subprocess

import pytest

from prism.agent.protocol import supervisor_pid
from prism.providers.local import ports
from prism.workspaces.model import Observed
from tests.optional import not_none
from tests.providers.local.test_life import LENT, python_for_all, surroundings
from tests.providers.local.world import World, page


def port_of(world, id):
    [door] = world.compute.access(id).endpoints.values()
    return int(door.url.rpartition(":")[2])


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory, package_cache):
    world = World(tmp_path_factory.mktemp("ports"), package_cache)
    yield world
    world.close()


@pytest.fixture(scope="module")
def two_machines(shared_world):
    """Two machines that serve a page each."""
    return [shared_world.launched(page(), key=key) for key in ("ws_1", "ws_2")]


def test_port_is_found_only_for_its_own_machine(shared_world, two_machines):
    world, (mine, other) = shared_world, two_machines
    for id, foreign in ((mine, other), (other, mine)):
        port = port_of(world, id)
        address = world.compute.address_of(id, port)
        assert (address.host, address.port) == ("127.0.0.1", port)
        assert world.compute.address_of(id, port) == address, "the same listener"
        assert world.compute.address_of(foreign, port) is None
    assert world.compute.address_of(mine, 1) is None
    assert world.compute.address_of("local-00000000000000000", port_of(world, mine)) is None
    assert world.compute.address_of("../elsewhere", port_of(world, mine)) is None


def test_port_of_a_foreign_process_belongs_to_no_machine(shared_world, two_machines):
    for address, family in (
        (("127.0.0.1", 0), socket.AF_INET),
        (("0.0.0.0", 0), socket.AF_INET),
        (("::", 0), socket.AF_INET6),
    ):
        with socket.create_server(address, family=family) as stranger:
            port = stranger.getsockname()[1]
            addresses = [shared_world.compute.address_of(id, port) for id in two_machines]
            assert addresses == [None, None]


def test_port_shared_with_a_foreign_process_has_no_address(tmp_path, package_cache):
    """If two processes listen on a port in one network, a connection may reach either."""
    world = World(tmp_path, package_cache, environ={"PRISM_WORKSPACE_NETWORK": "shared"})
    try:
        _check_shared_port(world, world.launched(page()))
    finally:
        world.close()


def _check_shared_port(world, id):
    port = port_of(world, id)
    with socket.socket(socket.AF_INET6) as stranger:
        stranger.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        stranger.bind(("::", port))
        stranger.listen()
        assert world.compute.address_of(id, port) is None
    assert world.compute.address_of(id, port) is not None


def test_stopped_machine_has_no_ports(world):
    id = world.launched(page())
    port = port_of(world, id)
    world.compute.stop(id)
    world.becomes(id, Observed.OFF)
    assert world.compute.address_of(id, port) is None


def test_port_owner_is_found_with_psutil_where_there_is_no_proc(shared_world, two_machines):
    numbers = [port_of(shared_world, id) for id in two_machines]
    supervisors = [supervisor_pid(str(shared_world.root / id)) for id in two_machines]
    for n, supervisor in enumerate(supervisors):
        address = not_none(ports._address_by_psutil(supervisor, numbers[n]))
        assert (address.host, address.port) == ("127.0.0.1", numbers[n])
        assert ports._address_by_psutil(supervisor, numbers[1 - n]) is None
    assert ports._address_by_psutil(2**22 + 1, numbers[0]) is None


AS_ANOTHER = """
import sys
from pathlib import Path
from tests.providers.local.test_ports import port_of
from tests.providers.local.world import World, page

world = World(Path(sys.argv[1]), Path(sys.argv[2]))
mine, other = (world.launched(page(), key=key) for key in ("ws_1", "ws_2"))
try:
    port = port_of(world, mine)
    assert world.compute.address_of(mine, port) is not None
    assert world.compute.address_of(other, port) is None
finally:
    world.close()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="the tests above ran as an ordinary user")
def test_port_owner_is_found_by_an_ordinary_user():
    """Even across the namespaces of a machine."""
    with surroundings() as (home, environ):
        program = [
            *LENT,
            "env",
            python_for_all(),
            "-c",
            AS_ANOTHER,
            home / "prism",
            home / "cache",
        ]
        done = subprocess.run(program, env=environ, cwd=home, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
