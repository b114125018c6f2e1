"""A real systemd starts the daemon of a home at boot, and workspaces come back by themselves."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import uuid
from functools import partial
from pathlib import Path

import psutil
import pytest

from prism.cli.installation.boot_service import SystemdService, write_script
from tests.daemons import BIN
from tests.project.home import Home
from tests.waiting import eventually

SYSTEMD = "/usr/lib/systemd/systemd"
CGROUPS = Path("/sys/fs/cgroup")
# In a namespace of its own, where systemd seems to be the init system, as sd_booted(3) checks.
BOOTED = (
    "mkdir -p /run/systemd && mount -t tmpfs none /run/systemd && mkdir /run/systemd/system && "
    'exec "$@"'
)


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


@pytest.fixture
def cgroup():
    """A function that moves its process into control groups of its own, removed at the end."""
    hierarchies = [
        folder
        for folder in (CGROUPS, CGROUPS / "systemd", CGROUPS / "unified")
        if (folder / "cgroup.procs").exists()
    ]
    if os.geteuid() or not os.access(SYSTEMD, os.X_OK) or not hierarchies:
        pytest.skip("needs root: only root may start a systemd in control groups of its own")
    name = f"prism-test-{uuid.uuid4().hex[:8]}"  # systemd expects one path in all of them
    groups = [folder / name for folder in hierarchies]
    try:
        for group in groups:
            group.mkdir()
    except OSError as error:
        pytest.skip(f"control groups cannot be groups here: {error}")

    def join():
        for group in groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    yield join
    for group in groups:
        for procs in group.rglob("cgroup.procs"):
            for pid in filter(lambda pid: pid != "0", procs.read_text().split()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        eventually(partial(removed, group))


def removed(group):
    """Whether a control group is removed, which it can be once its processes have ended."""
    folders = [folder for folder in group.rglob("*") if folder.is_dir()]
    for folder in sorted([group, *folders], reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
    return not group.exists()


class UserManager:
    """A boot: the user manager of systemd, with its units, until it is killed."""

    def __init__(self, folder, join):
        self.environ = os.environ | {
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }
        (folder / "run").mkdir(mode=0o700)
        self._join = join

    def start(self) -> None:
        unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c", BOOTED, "sh"]
        self.process = subprocess.Popen(
            [*unshare, SYSTEMD, "--user", "--log-target=null"],
            env=self.environ,
            preexec_fn=self._join,
        )

    def power_off(self):
        """All of its processes end at once."""
        self.process.kill()
        self.process.wait(60)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_workspaces_come_back_after_a_reboot_without_a_person(home, cgroup, tmp_path, monkeypatch):
    manager = UserManager(tmp_path, cgroup)
    for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, manager.environ[name])
    with home.run_daemon():
        home.cli_json("launch", "Plain Shell", "mine", "--restart")
    service = SystemdService(str(home.folder), is_root=False)
    for name, value in home.environ.items():
        monkeypatch.setenv(name, value)
    settings = ("PRISM_PORT", "PRISM_USER", "PRISM_DATABASE_TIMEOUT")
    lines = [f"{name}={home.environ[name]}\n" for name in settings]
    (home.folder / "env").write_text("".join(lines))
    write_script(service, [str(BIN / "prismd")], str(home.folder / "log"))
    manager.start()
    eventually(lambda: (tmp_path / "run/systemd/private").exists())
    service.install()
    assert not home.answers(), "it starts at the next boot"
    manager.power_off()
    for process in home.processes():
        process.kill()
    for file in (home.folder / "workspaces").glob("local-*/seen.json"):
        file.write_text(json.dumps(json.loads(file.read_bytes()) | {"boot": "another"}))
    shutil.rmtree(tmp_path / "run" / "systemd")

    manager.start()
    eventually(lambda: home.answers())
    eventually(lambda: home.states() == ["running"])
    pid = json.loads((home.folder / "daemon.lock").read_text())["pid"]
    machines = {process.pid for process in home.machines()}
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(pid))
    eventually(lambda: home.answers())
    assert {process.pid for process in home.machines()} == machines, "they outlive their daemon"
    assert home.cli_json("daemon", "stop")["message"]
    assert not home.answers(), "a daemon that was told to stop stays stopped"
    service.remove()
    manager.power_off()
    with home.run_daemon():
        assert home.cli_json("terminate", "mine", "--yes")["state"] == "terminated"
