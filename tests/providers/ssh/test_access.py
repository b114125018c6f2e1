"""Answers of a hostile lab server about how to connect to a machine."""

import json

import psutil
import pytest

from prism.providers.ssh.commands import AnswerInvalid
from prism.providers.ssh.compute import MOST_SERVICES, ReachedPort
from prism.providers.tunnels.forwards import MOST_PORTS
from prism.workspaces.model import Observed
from tests.providers.ssh.conftest import LAB
from tests.providers.ssh.test_compute import ID, SPEC, becomes, compute
from tests.waiting import eventually

pytestmark = LAB
__all__ = ["compute"]


@pytest.fixture
def answer(compute, lab):
    """Replaces the program on the server by one that answers with this name and services."""
    compute.launch(SPEC)
    becomes(compute, Observed.ON)
    [program] = lab.home.glob(".prism-server/agent/*/prism/agent/lab/host.py")

    def replace(name, services):
        report = {"key": "ws_1", "name": name, "phase": "on", "run": 1, "services": services}
        body = json.dumps({"answer": [{"report": report, "token": "x"}]})
        program.write_text(
            f"import sys\nbody = {body!r}.encode()\n"
            "sys.stdout.buffer.write(f'\\n{sys.argv[1]} {len(body)}\\n'.encode() + body)\n"
        )

    return replace


@pytest.mark.parametrize("name", ["x$(touch /tmp/never)", "-oProxyCommand=x", "", "x\n", "x;y"])
def test_name_that_a_shell_would_interpret_is_refused(compute, answer, name):
    answer(name, {})
    with pytest.raises(AnswerInvalid):
        compute.access(ID)


def test_service_with_a_name_that_no_template_has_is_left_out(compute, answer):
    names = ("s;reboot", "../x", "", "good", "x" * 1000)
    answer("mine", {name: {"port": 80, "answered": True} for name in names})
    assert set(compute.access(ID).endpoints) == {"good"}


def test_many_services_open_a_bounded_number_of_ports(compute, answer):
    answer("mine", {f"s{port}": {"port": port, "answered": True} for port in range(1, 3000)})
    before = psutil.Process().num_fds()
    assert len(compute.access(ID).endpoints) == MOST_SERVICES
    assert psutil.Process().num_fds() - before < 2 * MOST_SERVICES


def test_end_of_a_tunnel_that_moves_keeps_one_port(compute, server, monkeypatch):
    compute.launch(SPEC)
    becomes(compute, Observed.ON)
    monkeypatch.setattr("prism.providers.ssh.compute.PORTS_FRESH", -1)
    ports = iter(range(1, 1000))
    monkeypatch.setattr(
        server, "call", lambda do, **fields: (ReachedPort("127.0.0.1", next(ports), "x"),)
    )
    for _ in range(300):
        compute.address_of(ID, 8888)
    eventually(lambda: len(compute.forwards.ports_of(ID)) == 1)


def test_machine_has_a_bounded_number_of_forwarded_ports(compute, server, monkeypatch):
    compute.launch(SPEC)
    becomes(compute, Observed.ON)
    monkeypatch.setattr(
        server, "call", lambda do, **fields: (ReachedPort("127.0.0.1", fields["port"], "x"),)
    )
    for port in range(1, 3 * MOST_PORTS):
        compute.address_of(ID, port)
    assert len(compute.forwards.ports_of(ID)) == MOST_PORTS
