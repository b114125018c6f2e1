"""The connection to a machine: its host key, and what happens when it breaks."""

import threading
from pathlib import Path

import pytest

from prism.errors import Unavailable
from prism.providers.aws.api.faults import AwsDenied
from prism.providers.aws.ssh.hostkeys import key_on_console
from prism.providers.aws.ssh.model import HostKeyChanged, HostKeyUnknown, MachineUnreachable
from tests.providers.aws.ssh_machine import ID, PoolOfOneMachine, keypair
from tests.waiting import eventually


def test_run_returns_both_outputs_and_the_exit_code(machine_pool):
    result = machine_pool.pool.run(ID, "cat; echo wrong >&2; exit 3", b"given")
    assert (result.out, result.err, result.code) == (b"given", "wrong", 3)


def test_concurrent_scripts_share_one_connection(machine_pool, sshd):
    outputs = []
    each = [
        threading.Thread(
            target=lambda n=n: outputs.append(machine_pool.pool.run(ID, f"echo {n}").out)
        )
        for n in range(8)
    ]
    for thread in each:
        thread.start()
    for thread in each:
        thread.join()
    assert sorted(outputs) == [f"{n}\n".encode() for n in range(8)]
    assert (sshd.folder / "log").read_text().count("Accepted publickey") == 1


def test_host_key_is_read_from_the_console_and_stored_in_the_home(machine_pool, sshd):
    machine_pool.pool.run(ID, "true")
    assert machine_pool.cloud.asked == [ID]
    file = machine_pool.keys.known_hosts(machine_pool.host(ID))
    assert file.read_text() == (f"{ID} {sshd.host_key}\n[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    assert file.stat().st_mode & 0o777 == 0o600
    again = PoolOfOneMachine(machine_pool.folder, sshd)  # the next daemon
    again.cloud.consoles.clear()
    try:
        assert again.pool.run(ID, "echo in").out == b"in\n"
        assert again.cloud.asked == []
    finally:
        again.close()


def test_machine_without_a_host_key_on_its_console_is_refused(machine_pool, sshd):
    machine_pool.cloud.consoles[ID] = "prism-boot: begin\nprism-boot: hostkey \n"
    with pytest.raises(HostKeyUnknown) as unknown:
        machine_pool.pool.run(ID, "true")
    assert unknown.value.details.endswith("; it does about a minute after a boot")
    assert "Accepted" not in (sshd.folder / "log").read_text()


def test_changed_host_key_is_refused(machine_pool, sshd):
    machine_pool.pool.run(ID, "true")
    sshd.stop()
    sshd.change_key()
    sshd.start()
    eventually(lambda: is_host_key_refused(machine_pool), passing=(MachineUnreachable,))
    assert (sshd.folder / "log").read_text().count("Accepted") == 1
    assert machine_pool.keys.known(ID) != sshd.host_key


def is_host_key_refused(machine_pool):
    try:
        machine_pool.pool.run(ID, "true")
    except HostKeyChanged:
        return True
    return False


def test_changed_host_key_is_accepted_if_the_console_shows_it(machine_pool, sshd):
    machine_pool.pool.run(ID, "true")
    sshd.stop()
    sshd.change_key()
    sshd.start()
    machine_pool.tell(sshd.host_key)
    result = eventually(
        lambda: machine_pool.pool.run(ID, "echo again"), passing=(MachineUnreachable,)
    )
    assert result.out == b"again\n"
    assert machine_pool.keys.known(ID) == sshd.host_key


def test_cut_connection_is_replaced(machine_pool, sshd):
    machine_pool.pool.run(ID, "true")
    sshd.cut()
    result = eventually(
        lambda: machine_pool.pool.run(ID, "echo back"), passing=(MachineUnreachable,)
    )
    assert result.out == b"back\n"


def test_unreachable_machine_is_not_tried_at_each_request(machine_pool, sshd):
    sshd.stop()
    for _ in range(3):
        with pytest.raises(MachineUnreachable, match="mine cannot be reached"):
            machine_pool.pool.run(ID, "true")
    link = machine_pool.pool._links[ID]
    assert link._failures == 1, "only the first request tried to connect"
    sshd.start()
    link._again_at = 0.0
    assert machine_pool.pool.run(ID, "echo up").out == b"up\n"


def test_connection_to_a_stopped_machine_is_closed(machine_pool, sshd):
    machine_pool.pool.run(ID, "true")
    machine_pool.settle()
    assert sshd.guests(), "the machine is on"
    machine_pool.hosts.clear()
    machine_pool.settle()
    eventually(lambda: not sshd.guests())
    with pytest.raises(Unavailable, match="not on"):
        machine_pool.pool.run(ID, "true")


def test_restarted_machine_gets_a_new_connection(machine_pool, sshd):
    machine_pool.pool.run(ID, "true")
    machine_pool.boot("second")
    machine_pool.pool.run(ID, "true")
    assert (sshd.folder / "log").read_text().count("Accepted publickey") == 2


def test_idle_connection_is_closed(tmp_path, sshd):
    machine_pool = PoolOfOneMachine(tmp_path / "home", sshd, idle=0.2)
    try:
        machine_pool.pool.run(ID, "true")
        eventually(lambda: not sshd.guests())
        assert machine_pool.pool.run(ID, "echo more").out == b"more\n"
    finally:
        machine_pool.close()


def test_script_that_takes_too_long_is_ended(machine_pool, sshd):
    pid_file = sshd.folder / "slow.pid"
    for seconds in (0.5, 2, 8, 32):  # a busy machine may need longer to begin
        with pytest.raises(MachineUnreachable, match="takes too long"):
            machine_pool.pool.run(ID, f"echo $$ >{pid_file}; exec sleep 61", seconds=seconds)
        if pid_file.exists() and (pid := pid_file.read_text()):
            break
    eventually(lambda: not Path(f"/proc/{int(pid)}").exists())
    assert machine_pool.pool.run(ID, "echo well").out == b"well\n"


def test_host_key_is_parsed_from_the_console_if_it_is_complete(tmp_path):
    key, other = keypair(tmp_path / "a"), keypair(tmp_path / "b")
    assert key_on_console("prism-boot: hostkey \nprism-boot: ready\n") is None
    assert key_on_console(f"x prism-boot: hostkey {key}\r\nprism-boot: hostkey {other}\n") == other
    assert key_on_console(f"prism-boot: hostkey {key}") is None, "the line is incomplete"
    torn = f"{key[:60]}\n[   12.3] random: crng init done\n{key[60:]}\n"
    assert key_on_console(f"prism-boot: hostkey {torn}") is None, (
        "another program wrote into the line"
    )
    assert key_on_console(f"prism-boot: hostkey {other}\nprism-boot: hostkey {torn}") == other
    block = f"-----BEGIN SSH HOST KEY KEYS-----\nssh-rsa AAAAB3Nz root@x\n{key} root@x\n"
    assert key_on_console(block) is None
    assert key_on_console(block + "-----END SSH HOST KEY KEYS-----\n") == key


def test_denied_console_is_not_read_at_each_request(machine_pool):
    """Without permission to read consoles, a machine's host key stays unknown."""
    denied = AwsDenied("The AWS credentials lack the permission ec2:GetConsoleOutput")

    def deny(*_, InstanceId, **__):
        machine_pool.cloud.asked.append(InstanceId)
        raise denied

    machine_pool.cloud.call = deny
    for _ in range(3):
        with pytest.raises(MachineUnreachable) as unreachable:
            machine_pool.pool.run(ID, "true")
        assert unreachable.value.details == denied.message
    assert machine_pool.cloud.asked == [ID]
