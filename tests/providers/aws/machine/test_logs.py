"""Logs of a machine in the cloud: its console, and logs that are read through SSH."""

import json

import pytest

from prism.errors import Unavailable
from prism.providers.aws.machine import logs as module
from prism.providers.aws.machine.cloudinit.script import shipped
from prism.providers.aws.machine.cloudinit.tokens import secret
from prism.providers.aws.machine.logs import LINES_LOST, SETUP, AwsLogs
from prism.providers.aws.machine.service_access import AwsServiceAccess
from prism.providers.aws.ssh.port_forwarding import AwsPortFinder
from tests.providers.aws.ssh_machine import ID
from tests.waiting import eventually

JOURNAL = """#!/bin/sh
echo "$@" >>{folder}/asked
case "$*" in
  *--after-cursor*) cat {folder}/later 2>/dev/null ;;
  *) cat {folder}/journal ;;
esac
"""


@pytest.fixture
def sshd(sshd):
    sshd.program("journalctl", JOURNAL.format(folder=sshd.folder))
    return sshd


@pytest.fixture
def logs(machine_pool, sshd, monkeypatch):
    monkeypatch.setattr(module, "LOG_POLL_INTERVAL", 0.0)
    monkeypatch.setattr(module, "CONSOLE_EVERY", 0.0)
    monkeypatch.setattr(module, "AWAY_SECONDS", 0.0)
    serve(sshd, "lab")
    machine_pool.keys.learn(ID, machine_pool.cloud.consoles[ID])
    reach = AwsPortFinder(machine_pool.pool, machine_pool.forwards)
    access_of_services = AwsServiceAccess(
        machine_pool.pool, reach, services=f"{sshd.folder}/services.json"
    )
    return AwsLogs(
        machine_pool.console,
        machine_pool.pool,
        access_of_services,
        setup=f"{sshd.folder}/output.log",
    )


def serve(sshd, *names):
    served = {name: {"port": 8000 + n, "token": True} for n, name in enumerate(names)}
    (sshd.folder / "services.json").write_text(json.dumps({"services": served}))


def entry(unit, message, cursor):
    fields = {"_SYSTEMD_UNIT": f"prism-service-{unit}.service", "MESSAGE": message}
    return json.dumps({**fields, "__CURSOR": cursor}) + "\n"


def test_console_is_read_and_followed(logs, machine_pool):
    machine_pool.cloud.consoles[ID] = "one\r\ntwo\r\nthr"
    page = logs.tail(ID, "console", 1)
    assert page.lines == ("two",)
    machine_pool.cloud.consoles[ID] += "ee\nfour \x1b[1mbold\x1b[0m\n"
    page = logs.after(ID, "console", page.mark)
    assert page.lines == ("three", "four bold")
    assert logs.after(ID, "console", page.mark).lines == ()
    machine_pool.cloud.consoles[ID] = "another text\n"
    assert logs.after(ID, "console", page.mark).lines == (LINES_LOST, "another text")


def test_console_of_a_stopped_machine_can_be_read(logs, machine_pool):
    machine_pool.hosts.clear()
    machine_pool.cloud.consoles[ID] = "last words\n"
    assert logs.tail(ID, "console", 10).lines == ("last words",)


def test_following_a_console_makes_few_calls(logs, machine_pool, monkeypatch):
    monkeypatch.setattr(module, "CONSOLE_EVERY", 60.0)
    mark = logs.tail(ID, "console", 10).mark
    for _ in range(20):
        mark = logs.after(ID, "console", mark).mark
    assert len(machine_pool.cloud.asked) == 1


def test_cloud_init_log_is_read_and_followed(logs, sshd):
    file = sshd.folder / "output.log"
    assert logs.tail(ID, "cloud-init", 5).lines == ()
    file.write_text("".join(f"line {n}\n" for n in range(100)) + "unfin")
    page = logs.tail(ID, "cloud-init", 2)
    assert page.lines[-1] == "line 99"
    with file.open("a") as out:
        out.write("ished\nnext\n")
    page = logs.after(ID, "cloud-init", page.mark)
    assert page.lines == ("unfinished", "next")
    assert logs.after(ID, "cloud-init", page.mark).lines == ()
    file.unlink()
    file.write_text("new\n")
    assert logs.after(ID, "cloud-init", page.mark).lines == (LINES_LOST, "new")


def test_boot_script_writes_into_the_log_that_is_read():
    assert f"LOG={SETUP}" in shipped("boot.sh").split()


def test_missing_log_is_followed_from_its_first_line(logs, sshd):
    mark = logs.tail(ID, "cloud-init", 5).mark
    (sshd.folder / "output.log").write_text("first\n")
    assert logs.after(ID, "cloud-init", mark).lines == ("first",)


def test_journal_of_a_service_is_read_and_followed(logs, sshd):
    (sshd.folder / "journal").write_text(
        entry("lab", "hello", "c1") + entry("lab", list("wörld".encode("latin-1")), "c2")
    )
    page = logs.tail(ID, "application", 10)
    assert page.lines == ("hello", "w\ufffdrld")
    (sshd.folder / "later").write_text(entry("lab", "more", "c3"))
    page = logs.after(ID, "application", page.mark)
    assert page.lines == ("more",)
    logs.after(ID, "application", page.mark)
    commands = (sshd.folder / "asked").read_text().splitlines()
    assert "--unit prism-service-lab.service --lines 10" in commands[0]
    assert "--after-cursor c2" in commands[1]
    assert "--after-cursor c3" in commands[2]


def test_lines_of_several_services_have_the_service_name(logs, sshd):
    serve(sshd, "lab", "app")
    (sshd.folder / "journal").write_text(entry("lab", "a", "1") + entry("app", "b", "2"))
    assert logs.tail(ID, "application", 10).lines == ("lab: a", "app: b")


def test_log_lines_have_secrets_masked(logs, machine_pool, sshd):
    token = secret(sshd.key.read_bytes(), "ws_1", "lab")
    machine_pool.cloud.consoles[ID] = f"http://127.0.0.1:8888/lab?token={token}\n"
    hidden = ("http://127.0.0.1:8888/lab?token=***",)
    assert logs.tail(ID, "console", 5).lines == hidden, "even before the services are known"
    lines = [f"?token={token}", "ftp://me:secret@host/", "x" * 43]
    (sshd.folder / "journal").write_text("".join(entry("lab", line, "1") for line in lines))
    page = logs.tail(ID, "application", 5)
    assert page.lines == ("?token=***", "ftp://***@host/", "x" * 43)
    assert logs.tail(ID, "console", 5).lines == hidden


def test_tail_of_an_unreachable_machine_fails_and_following_waits(logs, machine_pool, sshd):
    (sshd.folder / "output.log").write_text("one\n")
    mark = logs.tail(ID, "cloud-init", 5).mark
    sshd.stop()
    with pytest.raises(Unavailable):
        logs.tail(ID, "cloud-init", 5)
    assert logs.after(ID, "cloud-init", mark).lines == ()
    sshd.start()
    (sshd.folder / "output.log").write_text("one\ntwo\n")
    eventually(lambda: logs.after(ID, "cloud-init", mark).lines == ("two",))


def test_unreadable_log_is_reported_with_the_reason(logs, machine_pool, sshd, monkeypatch):
    monkeypatch.setattr(module, "AS_ROOT", "as_root() { echo no root >&2; return 1; }\n")
    with pytest.raises(Unavailable, match="mine cannot be read") as caught:
        logs.tail(ID, "cloud-init", 5)
    assert "no root" in caught.value.details


def test_log_of_an_invalid_id_is_empty_without_a_call(logs, machine_pool):
    assert logs.tail("local-1", "console", 5).lines == ()
    assert logs.after("x; rm -rf", "cloud-init", None).lines == ()
    assert machine_pool.cloud.asked == []


def test_token_of_a_service_that_another_template_adds_is_hidden(logs, machine_pool, sshd):
    key = sshd.key.read_bytes()
    logs._services.serving(machine_pool.host(ID))
    file = sshd.folder / "output.log"
    file.write_text(f"{secret(key, 'ws_1', 'lab')}\n")
    assert logs.tail(ID, "cloud-init", 5).lines == ("***",)
    serve(sshd, "lab", "files")
    machine_pool.boot("second")
    logs._services.serving(machine_pool.host(ID))
    file.write_text(f"{secret(key, 'ws_1', 'files')}\n")
    assert logs.tail(ID, "cloud-init", 5).lines == ("***",)
