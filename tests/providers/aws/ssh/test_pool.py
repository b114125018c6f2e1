"""One connection to a machine: whom it believes, what it does when it breaks."""

import threading
from pathlib import Path

import pytest

from prism.errors import Unavailable
from prism.providers.aws.ssh.hostkeys import told
from prism.providers.aws.ssh.model import HostKeyChanged, HostKeyUnknown, MachineUnreachable
from tests.providers.aws.ssh_machine import ID, PoolOfOneMachine, keypair
from tests.waiting import eventually


def test_a_script_says_what_it_says(seat):
    said = seat.pool.run(ID, "cat; echo wrong >&2; exit 3", b"given")
    assert (said.out, said.err, said.code) == (b"given", "wrong", 3)


def test_many_at_once_share_one_connection(seat, sshd):
    found = []
    each = [
        threading.Thread(target=lambda n=n: found.append(seat.pool.run(ID, f"echo {n}").out))
        for n in range(8)
    ]
    for it in each:
        it.start()
    for it in each:
        it.join()
    assert sorted(found) == [f"{n}\n".encode() for n in range(8)]
    assert (sshd.folder / "log").read_text().count("Accepted publickey") == 1


def test_the_key_is_learnt_from_the_console_and_kept_in_the_home(seat, sshd):
    seat.pool.run(ID, "true")
    assert seat.cloud.asked == [ID]
    file = seat.keys.known_hosts(seat.host(ID))
    assert file.read_text() == (f"{ID} {sshd.host_key}\n[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    assert file.stat().st_mode & 0o777 == 0o600
    again = PoolOfOneMachine(seat.folder, sshd)  # the next daemon
    again.cloud.consoles.clear()
    try:
        assert again.pool.run(ID, "echo in").out == b"in\n"
        assert again.cloud.asked == []
    finally:
        again.close()


def test_who_has_not_told_a_key_is_not_believed(seat, sshd):
    seat.cloud.consoles[ID] = "prism-boot: begin\nprism-boot: hostkey \n"
    with pytest.raises(HostKeyUnknown):
        seat.pool.run(ID, "true")
    assert "Accepted" not in (sshd.folder / "log").read_text()


def test_another_host_key_is_refused(seat, sshd):
    seat.pool.run(ID, "true")
    sshd.stop()
    sshd.change_key()
    sshd.start()
    eventually(lambda: refused(seat), passing=(MachineUnreachable,))
    assert (sshd.folder / "log").read_text().count("Accepted") == 1
    assert seat.keys.known(ID) != sshd.host_key


def refused(seat):
    try:
        seat.pool.run(ID, "true")
    except HostKeyChanged:
        return True
    return False


def test_a_new_host_key_that_the_console_tells_is_believed(seat, sshd):
    seat.pool.run(ID, "true")
    sshd.stop()
    sshd.change_key()
    sshd.start()
    seat.tell(sshd.host_key)
    said = eventually(lambda: seat.pool.run(ID, "echo again"), passing=(MachineUnreachable,))
    assert said.out == b"again\n"
    assert seat.keys.known(ID) == sshd.host_key


def test_a_connection_that_was_cut_is_made_anew(seat, sshd):
    seat.pool.run(ID, "true")
    sshd.cut()
    said = eventually(lambda: seat.pool.run(ID, "echo back"), passing=(MachineUnreachable,))
    assert said.out == b"back\n"


def test_a_machine_that_does_not_answer_is_not_tried_each_time(seat, sshd):
    sshd.stop()
    for _ in range(3):
        with pytest.raises(MachineUnreachable, match="mine cannot be reached"):
            seat.pool.run(ID, "true")
    link = seat.pool._links[ID]
    assert link._failures == 1, "the others heard at once what was known"
    sshd.start()
    link._again_at = 0.0
    assert seat.pool.run(ID, "echo up").out == b"up\n"


def test_a_machine_that_stopped_is_hung_up_on(seat, sshd):
    seat.pool.run(ID, "true")
    seat.settle()
    assert sshd.guests(), "it is on"
    seat.hosts.clear()
    seat.settle()
    eventually(lambda: not sshd.guests())
    with pytest.raises(Unavailable, match="not on"):
        seat.pool.run(ID, "true")


def test_a_machine_that_was_started_again_gets_a_new_connection(seat, sshd):
    seat.pool.run(ID, "true")
    seat.boot("second")
    seat.pool.run(ID, "true")
    assert (sshd.folder / "log").read_text().count("Accepted publickey") == 2


def test_who_is_not_spoken_to_is_hung_up_on(tmp_path, sshd):
    seat = PoolOfOneMachine(tmp_path / "home", sshd, idle=0.2)
    try:
        seat.pool.run(ID, "true")
        eventually(lambda: not sshd.guests())
        assert seat.pool.run(ID, "echo more").out == b"more\n"
    finally:
        seat.close()


def test_a_script_that_takes_too_long_is_given_up_and_ended(seat, sshd):
    folder = sshd.folder / "slow"
    with pytest.raises(MachineUnreachable, match="takes too long"):
        seat.pool.run(ID, 'echo $$ >"$0.pid"; exec sleep 61'.replace("$0", str(folder)), seconds=1)
    pid = int(Path(f"{folder}.pid").read_text())
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert seat.pool.run(ID, "echo well").out == b"well\n"


def test_what_a_console_tells(tmp_path):
    key, other = keypair(tmp_path / "a"), keypair(tmp_path / "b")
    assert told("prism-boot: hostkey \nprism-boot: ready\n") is None
    assert told(f"x prism-boot: hostkey {key}\r\nprism-boot: hostkey {other}\n") == other
    assert told(f"prism-boot: hostkey {key}") is None, "the line is not whole yet"
    torn = f"{key[:60]}\n[   12.3] random: crng init done\n{key[60:]}\n"
    assert told(f"prism-boot: hostkey {torn}") is None, "somebody else wrote in between"
    assert told(f"prism-boot: hostkey {other}\nprism-boot: hostkey {torn}") == other
    block = f"-----BEGIN SSH HOST KEY KEYS-----\nssh-rsa AAAAB3Nz root@x\n{key} root@x\n"
    assert told(block) is None
    assert told(block + "-----END SSH HOST KEY KEYS-----\n") == key
