"""Several lab servers in one profile."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from prism.catalog.plan import machine_type
from prism.errors import ValidationFailed
from prism.kit.clock import WallClock
from prism.profiles.model import Profile
from prism.providers.ssh.model import KnownServer, distinct
from prism.providers.ssh.offer import LabOffer
from prism.templates.model import Template
from prism.workspaces.model import LaunchRequest
from prism.workspaces.ports import ProviderRefused
from tests.providers.ssh.conftest import LAB
from tests.providers.ssh.lab import Lab
from tests.providers.ssh.test_life import LabHome
from tests.waiting import eventually

KIND = machine_type("t3.medium")
PROFILE = Profile(name="lab", provider="ssh", host="a,b", created_at=WallClock().now())


def known(host: str, memory_gb: int = 64, *, holds: str = "", **more) -> KnownServer:
    """A server with room, of which a workspace may hold a part."""
    slot = {"id": "ssh-1", "name": holds, "cpus": 2, "memory_mb": 4096, "gpus": []}
    room = {
        "cpus": 8,
        "memory_mb": memory_gb << 10,
        "gpus": [],
        "holders": [slot] if holds else [],
    }
    return KnownServer(host=host, location=f"ssh:{host}", **{"room": room, **more})


def chosen(*servers: KnownServer, region: str | None = None, name: str = "new") -> str:
    """The location of a launch."""
    offer = LabOffer(replace(PROFILE, region=region), servers)
    request = LaunchRequest(name=name, template="plain", region=region)
    offer.accept(Template(name="plain"), KIND, request)
    assert offer.location == f"ssh:{offer.region}"
    return offer.region


def test_server_with_most_room_is_chosen():
    assert chosen(known("a", 16), known("b", 32)) == "b"
    assert chosen(known("a", 32, is_away=True), known("b", 16)) == "b"
    assert chosen(known("a", 32), known("b", room=None)) == "a"
    assert chosen(known("a", 2, holds="x"), known("b", 8)) == "b"
    assert chosen(known("a", 64), known("b", 8), region="b") == "b"


def test_workspace_that_is_there_already_needs_no_room():
    assert chosen(known("a", 4, holds="mine"), known("b", 64), name="mine") == "a"


def test_full_servers_are_named_each_with_what_is_free():
    with pytest.raises(ProviderRefused) as refusal:
        chosen(known("a", 4, holds="x"), known("b", 4, holds="y"))
    assert "None of a, b has room" in refusal.value.message
    for words in ("a: there is no room", "hold x (2 CPUs, 4 GB)", "hold y (2 CPUs, 4 GB)"):
        assert words in refusal.value.details
    with pytest.raises(ValidationFailed) as unknown:
        chosen(known("a"), known("b"), region="us-west-2")
    assert unknown.value.details == "region: is no server of the profile: a, b"


def test_server_that_has_two_names_is_one():
    servers = [known("a", identity="x"), known("a.lab", identity="x"), known("b"), known("c")]
    assert [server.host for server in distinct(servers)] == ["a", "b", "c"]


@pytest.fixture
def second(lab: Lab) -> Iterator[Lab]:
    """Another server of the same person."""
    folder = Path(tempfile.mkdtemp(prefix="prism-lab-"))
    folder.chmod(0o755)
    machine = Lab(folder / "lab", "gpu2", lab.person)
    machine.variables |= {"PRISM_SERVER_MEMORY_GB": "512"}
    machine.start()
    yield machine
    machine.close()
    shutil.rmtree(folder)


@pytest.fixture
def home(tmp_path: Path, lab: Lab) -> Iterator[LabHome]:
    """A home without a daemon yet."""
    person = LabHome(tmp_path / "prism", lab)
    yield person
    person.clear()


@pytest.mark.usefixtures("lab")
class TestServers:
    """With real servers."""

    pytestmark = LAB

    def test_launches_go_where_room_is_and_one_server_away_does_not_stop_the_other(
        self, lab, second, home
    ):
        with home.run_daemon():
            profile = ("profile", "create", "lab", "--provider", "ssh", "--host", "gpu1")
            done = home.cli(*profile, "--host", "gpu1.lab")
            assert done.returncode != 0
            assert "gpu1 is the same server" in done.stdout
            printed = home.must(*profile, "--host", "gpu2")
            assert "gpu2 sandbox" in printed
            home.must("profile", "switch", "lab")
            home.must("launch", "plain-shell", "one", "--region", "gpu1")
            planned = ("launch", "plain-shell", "two", "--dry-run")
            eventually(lambda: "it runs on gpu2" in home.must(*planned))
            done = home.cli("launch", "plain-shell", "two")
            assert done.returncode == 0, done.stderr
            assert "it runs on gpu2" in done.stderr
            for name, host, server in (("one", "gpu1", lab), ("two", "gpu2", second)):
                assert home.client.workspaces.get(name).region == host
                assert host in home.must("show", name)
                assert home.inside(name, "id -u").strip() == str(server.uid)
            second.stop()
            assert home.inside("one", "echo alive").strip() == "alive"
            home.must("launch", "plain-shell", "three", "--region", "gpu1")
            assert home.inside("three", "echo alive").strip() == "alive"
            assert home.state("two") == "running"
            second.start()
            eventually(lambda: home.cli("exec", "two", "--", "true").returncode == 0)
            home.must("terminate", "one", "two", "three", "--yes")

    def test_servers_with_one_home_leave_each_others_workspaces_alone(self, lab, second, home):
        lab.stop()
        second.share(lab)
        second.start()
        lab.start()
        with home.run_daemon():
            home.must(
                *("profile", "create", "lab", "--provider", "ssh"),
                *("--host", "gpu1", "--host", "gpu2"),
            )
            home.must("profile", "switch", "lab")
            home.must("launch", "plain-shell", "one", "--region", "gpu1")
            home.must("launch", "plain-shell", "two", "--region", "gpu2")
            names = {name: home.inside(name, "uname -n").strip() for name in ("one", "two")}
            assert names == {"one": "gpu1", "two": "gpu2"}
            home.must("stop", "one")
            assert home.state("two") == "running"
            home.must("start", "one")
            assert home.inside("one", "uname -n").strip() == "gpu1"
            home.must("terminate", "one", "two", "--yes")
