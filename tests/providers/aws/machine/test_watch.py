"""The idle watch on a machine: installed by SSH, run there, and its report read here."""

import ast
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import types
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from prism.errors import Unavailable
from prism.providers.agent_sources import agent_sources
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.machine import agent_bundle
from prism.providers.aws.machine.agent_bundle import Layout, bundle
from prism.providers.aws.machine.watch import AwsWatch
from prism.providers.aws.ssh.model import HostKeyUnknown
from prism.workspaces.idleness import Idleness, IdleRule
from tests.agent.ec2.machine import ROLE, Ec2
from tests.old_python import python_3_9
from tests.optional import not_none
from tests.providers.aws.ssh_machine import ID, PoolOfOneMachine, Sshd, by_root
from tests.waiting import eventually

SYSTEMCTL = """#!/bin/sh
echo "$@" >>{0}/systemctl
case "$1" in
  restart)
    [ ! -f {0}/pid ] || kill $(cat {0}/pid)
    line=$(sed -n 's/^ExecStart=//p' {0}/units/prism-idle.service)
    setsid sh -c "exec $line" >>{0}/idle.log 2>&1 </dev/null &
    echo $! >{0}/pid ;;
esac
"""
RULE = IdleRule(profile="standard", minutes=1, action="stop", limits={})
OBSERVE_ONLY = IdleRule(profile="standard", minutes=1, action="stop", limits={}, enabled=False)
LAUNCHED = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """A machine, its cloud, and the watch of a daemon."""

    def __init__(self, folder, files):
        self.sshd = Sshd(folder / "machine")
        self.sshd.files = files
        self.sshd.program("systemctl", SYSTEMCTL.format(self.sshd.folder))
        self.sshd.start()
        self.ec2, self.machine_pool = Ec2(), PoolOfOneMachine(folder / "home", self.sshd)
        (self.sshd.folder / "etc").mkdir()
        self.layout = Layout(
            library=f"{self.sshd.folder}/lib",
            state=f"{self.sshd.folder}/state",
            units=f"{self.sshd.folder}/units",
            etc=f"{self.sshd.folder}/etc",
            python=sys.executable,
            arguments=(
                *("--console", f"{self.sshd.folder}/console"),
                *("--metadata", self.ec2.url, "--endpoint", f"{self.ec2.url}/"),
                *("--of", str(not_none(self.sshd.process).pid)),
            ),
        )
        self.watch = self.watching()
        self.machine_pool.keys.learn(ID, self.machine_pool.cloud.consoles[ID])

    def watching(self, **how):
        """Make the watch of a daemon."""
        how = {"minute": 1.0, "every": 0.3, **how}
        watch = AwsWatch(
            self.machine_pool.pool, self.machine_pool.console, layout=self.layout, **how
        )
        watch.look([instance()])
        return watch

    def idle(self, boot="running"):
        """The idleness after another survey."""
        self.watch.look([instance(boot)])
        return self.watch.idle(ID)

    def systemctl_calls(self):
        """The commands that systemd received."""
        return (self.sshd.folder / "systemctl").read_text().splitlines()

    def close(self):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.sshd.folder / "pid").read_text()), signal.SIGKILL)
        self.watch.close()
        self.machine_pool.close()
        self.ec2.close()
        self.sshd.stop()


def instance(state="running", launched=LAUNCHED):
    return Ec2Instance(
        id=ID, key="ws_1", state=state, type="t3.small", zone="z", launched=launched
    )


@pytest.fixture
def files():
    """The SFTP server of the machine."""
    return "internal-sftp"


@pytest.fixture
def world(tmp_path, files):
    world = World(tmp_path, files)
    yield world
    world.close()


def test_watch_is_installed_and_reports_idleness(world):
    world.watch.watch(ID, OBSERVE_ONLY)
    assert world.systemctl_calls() == [
        "daemon-reload",
        "enable prism-idle.service",
        "restart prism-idle.service",
    ]
    known = eventually(lambda: (idleness := world.idle()) and idleness.state and idleness)
    assert (known.state, known.because) == ("idle", ("nothing is going on",))
    assert {"cpu", "resident"} <= known.figures.keys()
    assert known.acted is None


def test_changed_rule_is_written_without_another_installation(world):
    world.watch.watch(ID, OBSERVE_ONLY)
    until = datetime(2026, 1, 2, tzinfo=UTC)
    world.watch.watch(ID, IdleRule(**{**rule(OBSERVE_ONLY), "minutes": 7, "awake_until": until}))
    assert len(world.systemctl_calls()) == 3
    settings = json.loads((world.sshd.folder / "state" / "idle.json").read_text())
    assert (settings["seconds"], settings["awake_until"]) == (7.0, until.timestamp())
    world.watch.watch(ID, None)
    assert json.loads((world.sshd.folder / "state" / "idle.json").read_text()) == {}


def rule(idle_rule):
    return {name: getattr(idle_rule, name) for name in idle_rule.__struct_fields__}


def test_machine_without_a_rule_gets_no_watch(world):
    world.watch.watch(ID, None)
    assert not (world.sshd.folder / "systemctl").exists()


def test_newer_watch_replaces_an_older_watch(world, monkeypatch):
    world.watch.watch(ID, OBSERVE_ONLY)
    eventually(lambda: world.idle())
    newer = agent_bundle.AgentBundle(bundle().data, "0123456789abcdef")
    monkeypatch.setattr("prism.providers.aws.machine.watch.bundle", lambda: newer)
    monkeypatch.setattr(agent_bundle, "bundle", lambda: newer)
    eventually(lambda: world.idle() and len(world.systemctl_calls()) == 6)
    unit = (world.sshd.folder / "units" / "prism-idle.service").read_text()
    assert "--build 0123456789abcdef" in unit
    rule = json.loads((world.sshd.folder / "state" / "idle.json").read_text())
    assert rule["profile"] == OBSERVE_ONLY.profile


@pytest.mark.parametrize("role", [pytest.param(ROLE, marks=pytest.mark.slow), None])
def test_idle_machine_stops_without_a_daemon(world, role):
    """EC2 is asked to stop it with the keys of its role; without a role it powers itself off."""
    world.ec2.role = role
    world.watching(minute=0.5).watch(ID, RULE)
    eventually(lambda: world.ec2.requests if role else "poweroff" in world.systemctl_calls())
    assert all(b"Hibernate" not in body for _, body in world.ec2.requests)
    assert bool(world.ec2.requests) != ("poweroff" in world.systemctl_calls())
    eventually((world.sshd.folder / "state" / "seen.json").exists)
    seen = json.loads((world.sshd.folder / "state" / "seen.json").read_text())
    assert seen["acted"]["action"] == "stop"
    assert (seen["acted"]["profile"], seen["acted"]["note"]) == ("standard", None)
    known = eventually(lambda: (idleness := world.idle()) and idleness.acted and idleness)
    assert known.acted.seconds >= 0.5


def test_idle_machine_hibernates_by_a_call_to_ec2(world):
    sleeps = IdleRule(**{**rule(RULE), "action": "hibernate"})
    world.watching(minute=0.5).watch(ID, sleeps)
    eventually(lambda: world.ec2.requests)
    known = eventually(lambda: (idleness := world.idle()) and idleness.acted and idleness)
    assert (known.acted.action, known.acted.note) == ("hibernate", None)
    assert "poweroff" not in world.systemctl_calls()


def test_idle_machine_that_cannot_hibernate_stops_with_a_note(world):
    world.ec2.refuses = "UnsupportedHibernationConfiguration"
    sleeps = IdleRule(**{**rule(RULE), "action": "hibernate"})
    world.watching(minute=0.5).watch(ID, sleeps)
    eventually(lambda: "poweroff" in world.systemctl_calls())
    known = eventually(lambda: (idleness := world.idle()) and idleness.acted and idleness)
    assert known.acted.action == "stop"
    assert "could not be put to sleep" in known.acted.note
    assert "UnsupportedHibernationConfiguration" in (world.sshd.folder / "idle.log").read_text()


@by_root
def test_foreground_command_in_a_terminal_makes_the_machine_active(world):
    """A command in the foreground of a terminal, by OpenSSH's own client."""
    with client(world, "ssh", "-tt", command="sleep 100"):
        world.watching().watch(ID, OBSERVE_ONLY)
        known = eventually(
            lambda: (idleness := world.idle()) and idleness.state == "active" and idleness
        )
    assert "foreground of a terminal" in known.because[0]


@contextlib.contextmanager
def client(world, program, *more, command=None):
    """OpenSSH's own client, until the block ends."""
    hosts = world.machine_pool.keys.known_hosts(world.machine_pool.host(ID))
    argv = [program, "-F", "none", "-i", str(world.sshd.key), "-o", f"Port={world.sshd.port}"]
    argv += ["-o", f"UserKnownHostsFile={hosts}", "-o", "BatchMode=yes", *more]
    argv += [f"{world.machine_pool.host(ID).user}@127.0.0.1", *filter(None, [command])]
    ends: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.DEVNULL,
    }
    with subprocess.Popen(argv, **ends) as child:
        yield child
        child.kill()


@pytest.mark.slow
def test_command_without_a_terminal_makes_the_machine_active(world):
    with client(world, "ssh", command="sh -c 'sleep 30; true'"):
        world.watching().watch(ID, OBSERVE_ONLY)
        known = eventually(
            lambda: (idleness := world.idle()) and idleness.state == "active" and idleness
        )
    assert known.because == ("`sleep` runs over SSH",)
    eventually(lambda: world.idle().state == "idle")


def test_waiting_shell_and_commands_of_the_daemon_do_not_prevent_idleness(world):
    """The daemon runs a command at every turn here, so that most checks observe one."""
    with client(world, "ssh", command="bash") as shell:
        shell.stdin.write(b"echo begun; sleep 30\n")
        shell.stdin.flush()
        assert shell.stdout.readline() == b"begun\n"
        world.watching(minute=0.5, every=0.0).watch(ID, RULE)
        eventually(lambda: world.idle() and world.ec2.requests)


@by_root
@pytest.mark.parametrize(
    "files",
    ["internal-sftp", pytest.param("/usr/lib/openssh/sftp-server", marks=pytest.mark.slow)],
)
def test_sftp_transfer_delays_the_idle_action(world, files):
    with client(world, "sftp", "-b", "-") as copy:
        world.watching().watch(ID, OBSERVE_ONLY)

        def moves():
            copy.stdin.write(b"ls\n")
            copy.stdin.flush()
            verdict = world.idle()
            return verdict and verdict.because == ("bytes moved over SSH",)

        eventually(moves)
        eventually(
            lambda: (idleness := world.idle()).until - idleness.since > timedelta(seconds=1)
        )
        assert (world.idle().state, copy.poll()) == ("idle", None)


def test_jupyter_without_a_valid_answer_makes_idleness_unknown(world):
    """It is asked with the token of its environment; here another server has its port."""
    etc = world.sshd.folder / "etc"
    port = int(world.ec2.url.rpartition(":")[2])
    lab = {"port": port, "command": "jupyter lab", "token": True}
    (etc / "services.json").write_text(json.dumps({"home": "/root", "services": {"lab": lab}}))
    (etc / "lab.env").write_text(f'JUPYTER_TOKEN="{"t" * 43}"\n')
    world.watching().watch(ID, OBSERVE_ONLY)
    known = eventually(
        lambda: (idleness := world.idle()) and idleness.state == "unknown" and idleness
    )
    assert known.because == ("Jupyter does not say what its kernels do",)
    assert f"token {'t' * 43}" in world.ec2.tokens


def test_idle_action_of_a_stopped_machine_is_read_from_its_console(world):
    world.watch.watch(ID, OBSERVE_ONLY)
    eventually(lambda: (idleness := world.idle()) and idleness.state)
    eventually(lambda: not world.watch._asking)
    at = (LAUNCHED + timedelta(hours=1)).timestamp()
    acted = {"at": at, "action": "stop", "seconds": 1800.0, "profile": "p", "note": None}
    world.machine_pool.cloud.consoles[ID] += f"\nprism-idle: {json.dumps(acted)}\r\n"
    world.machine_pool.console._texts.clear()
    world.machine_pool.hosts.clear()
    known = eventually(lambda: (idleness := world.idle("stopped")) and idleness.acted and idleness)
    assert known.acted.seconds == 1800.0
    assert known.state in {"idle", "active"}  # as it was seen last, on a computer of any load
    count = len(world.machine_pool.cloud.asked)
    for _ in range(5):
        world.idle("stopped")
    assert len(world.machine_pool.cloud.asked) == count, "the console is not read again"
    world.watch.look([instance(launched=LAUNCHED + timedelta(hours=2))])
    woken = world.watch.idle(ID)
    assert (woken.state, woken.acted) == (None, known.acted), (
        "the idleness of the new boot is unknown"
    )


def test_machine_that_is_off_or_unknown_causes_no_repeated_calls(world):
    world.machine_pool.keys.forget(ID)
    world.machine_pool.cloud.consoles[ID] = "prism-boot: hostkey \n"
    world.machine_pool.console._texts.clear()
    for _ in range(5):
        with pytest.raises(HostKeyUnknown):
            world.watch.watch(ID, RULE)
    assert world.machine_pool.cloud.asked == [ID]
    world.watch.look([instance("stopped")])
    with pytest.raises(Unavailable, match="not on"):
        world.watch.watch(ID, RULE)
    assert world.machine_pool.cloud.asked == [ID]


def test_rule_for_an_unreachable_machine_is_unavailable(world):
    world.sshd.stop()
    with pytest.raises(Unavailable):
        world.watch.watch(ID, RULE)


def test_rule_for_a_machine_without_root_rights_is_unavailable(world):
    world.sshd.program("sh", "#!/bin/dash\necho no sudo >&2; exit 1\n")
    with pytest.raises(Unavailable, match="could not get its idle rule") as caught:
        world.watch.watch(ID, RULE)
    assert "no sudo" in caught.value.details


def test_agent_bundle_is_reproducible_and_parsed_by_python_3_9():
    data = bundle().data
    bundle.cache_clear()
    assert bundle().data == data
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        for name in packed.namelist():
            text = packed.read(name).decode()
            ast.parse(text, feature_version=(3, 9))
            if name.startswith("prism/agent/") and not name.endswith("__init__.py"):
                assert "from __future__ import annotations" in text
        names = {Path(name).stem for name in packed.namelist()}
    assert {"idle_watch", "verdict", "samples", "jupyter", "power", "__main__"} <= names
    assert not {"supervisor", "supervised_machine", "process_group"} & names


OLD = """
import errno, json, os, pathlib, socket, struct, sys, typing
sys.version_info = (3, 9)
sys.path.insert(0, sys.argv[1])
from prism.agent import protocol
assert not hasattr(protocol, "Required")
print(sorted(protocol.IdleDaemonReport.__annotations__))
"""


def test_agent_protocol_is_imported_by_python_3_9_without_required(tmp_path):
    (tmp_path / "idle.pyz").write_bytes(bundle().data)
    argv = [sys.executable, "-I", "-c", OLD, tmp_path / "idle.pyz"]
    assert "build" in subprocess.check_output(argv, text=True)


@pytest.mark.skipif(not python_3_9(), reason="needs a Python 3.9")
def test_agent_bundle_and_supervisor_are_imported_by_a_real_python_3_9(tmp_path):
    names = ("ec2.idle_daemon", "supervisor", "init", "sandbox.isolation")
    for path, text in agent_sources(*names).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    code = "import sys, importlib; sys.path.insert(0, sys.argv[1])\n"
    code += "for name in sys.argv[2:]: importlib.import_module(f'prism.agent.{name}')"
    argv = [not_none(python_3_9()), "-I", "-c", code, str(tmp_path), *names]
    subprocess.run(argv, check=True, cwd=tmp_path)


def test_survey_after_the_close_asks_no_machine(world):
    world.watch.close()
    world.watch._due.clear()
    world.watch.look([instance()])


def test_report_that_is_read_during_a_survey_is_not_lost(world, monkeypatch):
    eventually(lambda: not world.watch._asking)
    report = {"state": "idle", "because": ["x"], "build": bundle().build}
    result = types.SimpleNamespace(out=json.dumps(report).encode(), code=0)
    monkeypatch.setattr(world.machine_pool.pool, "run", lambda *_: result)
    reader = threading.Thread(target=world.watch._read_report, args=(instance(),))

    class ReportsReadBySurvey(dict[str, Idleness]):
        def __getitem__(self, id):
            before = super().__getitem__(id)
            reader.start()
            reader.join(0.2)
            return before

    world.watch._known = ReportsReadBySurvey({ID: Idleness()})
    world.watch.look([instance(state="stopped")])
    reader.join()
    assert world.watch.idle(ID).state == "idle"
