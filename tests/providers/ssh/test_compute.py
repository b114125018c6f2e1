"""The machines of a lab server, without a daemon: what a survey says, what the server does."""

import itertools
import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from prism.providers.local.ssh.gate import SshGate
from prism.providers.ssh.commands import AnswerInvalid
from prism.providers.ssh.compute import LabCompute, machine_id
from prism.providers.ssh.model import ServerUnreachable
from prism.providers.ssh.server import LabServer
from prism.providers.tunnels.forwards import Forwards
from prism.workspaces.idleness import IdleRule
from prism.workspaces.model import Observed
from prism.workspaces.ports import Machine, MachineSpec
from tests.optional import not_none
from tests.providers.local.world import page
from tests.providers.ssh.conftest import LAB
from tests.providers.ssh.lab import Lab
from tests.waiting import eventually

pytestmark = LAB
SPEC = MachineSpec(
    key="ws_1",
    name="mine",
    template=page(),
    instance_type="t3.small",
    root_gb=8,
    hibernation=False,
)
ID = machine_id("ws_1")


@pytest.fixture
def compute(lab: Lab, server: LabServer, tmp_path: Path) -> Iterator[LabCompute]:
    """The machines of the server; a minute of idle rules has a second."""
    forwards = Forwards(server)
    yield LabCompute(
        server,
        SshGate(tmp_path),
        tmp_path / "ports",
        remembered=timedelta(hours=1),
        forwards=forwards,
        minute=1,
    )
    forwards.close()


def machine(compute: LabCompute) -> Machine:
    """The only machine, as a survey shows it."""
    [only] = compute.survey()
    return only


def becomes(compute: LabCompute, observed: Observed) -> Machine:
    """The machine, once it is in a state."""
    return eventually(lambda: (seen := machine(compute)).observed is observed and seen)


def test_repeated_launch_makes_one_machine_and_a_removed_one_stays_gone(compute):
    assert compute.launch(SPEC).has_rule
    assert not compute.launch(SPEC).has_rule
    becomes(compute, Observed.ON)
    [record] = compute.found([ID])
    assert (record.key, record.name, record.instance_type) == ("ws_1", "mine", "t3.small")
    compute.terminate(ID)
    becomes(compute, Observed.GONE)
    compute.start(ID)
    assert becomes(compute, Observed.GONE).id == ID


@pytest.mark.parametrize("action", ["hibernate", "stop"])
def test_idle_machine_rests_by_the_server(compute, action):
    limits = {"cpu": 100.0, "network": 1e9, "disk": 1e9, "gpu": 100.0}
    rule = IdleRule(profile="short", minutes=2, action=action, limits=limits)
    compute.launch(SPEC)
    becomes(compute, Observed.ON)
    compute.watch(ID, rule)
    rests = becomes(compute, Observed.ASLEEP if action == "hibernate" else Observed.OFF)
    act = not_none(not_none(rests.idle).acted)
    assert (act.action, act.profile) == (action, "short")


def serving(lab):
    """The processes of the account that serve a page."""
    return {each.pid for each in lab.programs() if each.cmdline()[1:3] == ["-S", "-c"]}


def answers(port):
    """Whether a page of the server answers within two seconds."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as client:
        client.settimeout(2)
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return client.recv(4) == b"HTTP"
    return False


def test_hibernated_machine_keeps_its_programs_with_their_memory(compute, lab):
    compute.launch(SPEC)
    becomes(compute, Observed.ON)
    access = eventually(lambda: (now := compute.access(ID)).endpoints and now)
    port = not_none(access.endpoints["page"].port)
    before = serving(lab)
    assert before
    assert answers(port)
    compute.hibernate(ID)
    becomes(compute, Observed.ASLEEP)
    assert serving(lab) == before
    assert not answers(port)
    compute.start(ID)
    becomes(compute, Observed.ON)
    assert serving(lab) == before
    assert eventually(lambda: answers(port))


def test_memory_of_a_hibernated_machine_is_lost_when_the_server_restarts(compute, lab):
    compute.launch(SPEC)
    becomes(compute, Observed.ON)
    compute.hibernate(ID)
    becomes(compute, Observed.ASLEEP)
    lab.reboot()
    off = eventually(
        lambda: (seen := machine(compute)).observed is Observed.OFF and seen,
        passing=(ServerUnreachable,),
    )
    assert "memory is lost" in str(off), off
    compute.start(ID)
    becomes(compute, Observed.ON)


def test_clock_of_a_server_that_is_an_hour_ahead_is_converted(compute, server, lab, monkeypatch):
    compute.launch(SPEC)
    becomes(compute, Observed.ON)
    real = server.call

    def ahead(do, **fields):
        answer = real(do, **fields)
        if do == "survey":
            return structs.replace(answer, time=answer.time + 3600)
        return answer

    monkeypatch.setattr(server, "call", ahead)
    began = machine(compute).since
    assert abs(not_none(began) - datetime.now(UTC) + timedelta(hours=1)) < timedelta(minutes=5)
    due = datetime.now(UTC) + timedelta(minutes=30)
    compute.expire(ID, due, "stop")
    text = (lab.home / f".prism-server/workspaces/{ID}/wanted.json").read_text()
    assert f'"expires_at": {due.timestamp() + 3600}' in text


def test_documents_that_are_no_documents_hide_no_other_machine(compute, lab):
    compute.launch(SPEC)
    becomes(compute, Observed.ON)
    root = lab.home / ".prism-server/workspaces"
    broken = [b"", b"[]", b'{"phase": "flying"}', b"\xff", b'{"key": 1}', b"{" * 5000]
    for number, (report, spec) in enumerate(itertools.product(broken, broken[:3])):
        folder = root / f"ssh-{number:017x}"
        folder.mkdir()
        (folder / "seen.json").write_bytes(report)
        (folder / "order.json").write_bytes(spec)
    assert [each.id for each in compute.survey() if each.observed is Observed.ON] == [ID]


def test_port_on_which_nothing_of_the_machine_listens_is_not_reached(compute, lab):
    compute.launch(SPEC)
    becomes(compute, Observed.ON)
    access = eventually(lambda: (now := compute.access(ID)).endpoints and now)
    port = not_none(access.endpoints["page"].port)
    assert not_none(compute.address_of(ID, port)).host == "127.0.0.1"
    for other in (22, lab.port):  # the server's own
        assert compute.address_of(ID, other) is None
        assert compute.target(ID, "127.0.0.1", other) is None
    assert compute.target(ID, "example.org", port) is None
    assert compute.address_of("../elsewhere", port) is None


@pytest.mark.parametrize(
    "end",
    [
        {"host": "10.0.0.1", "port": 80, "listener": "x"},
        {"host": "127.0.0.1", "port": 0, "listener": "x"},
        {"host": "127.0.0.1", "port": 1 << 16, "listener": "x"},
        {"host": "127.0.0.1", "port": 80, "listener": "x" * 1000},
    ],
)
def test_hostile_end_of_a_tunnel_is_refused(compute, lab, end):
    compute.survey()
    [program] = lab.home.glob(".prism-server/agent/*/prism/agent/lab/host.py")
    answer = json.dumps({"answer": [end]})
    program.write_text(
        f"import sys\nbody = {answer!r}.encode()\n"
        "sys.stdout.buffer.write(f'\\n{sys.argv[1]} {len(body)}\\n'.encode() + body)\n"
    )
    with pytest.raises(AnswerInvalid):
        compute.address_of(ID, 8888)


def test_tunnel_is_closed_once_its_machine_is_off(compute):
    compute.launch(SPEC)
    becomes(compute, Observed.ON)
    eventually(lambda: compute.access(ID).endpoints)
    assert compute.forwards.ports_of(ID)
    compute.stop(ID)
    becomes(compute, Observed.OFF)
    eventually(lambda: not compute.forwards.ports_of(ID))
