"""A workspace full of races, and every verb that touches its folder, over and over.

To add a race, add a mode to `hostile.c` and a line to `races`. To add a verb, add a function to
`VERBS`: it gets the hostile home and a number, runs the verb, and asserts its result.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

from tests.attacks.compiled import compile_hostile
from tests.attacks.ordinary import OrdinaryHome, as_ordinary
from tests.daemons import BIN

SECRET = b"what no workspace may read"
NAME = "hostile"


class HostileHome:
    """A home with a hostile workspace and an innocent one, and a folder outside of both."""

    def __init__(self, home, outside):
        self.home, self.outside, self.done = home, outside, Counter[str]()
        (outside / "secret").mkdir(parents=True)
        (outside / "secret" / "id").write_bytes(SECRET)
        (outside / "out").mkdir()
        for path in (outside, outside / "out", outside / "secret"):
            path.chmod(0o777)  # for a daemon of any user; a sandbox does not show it
        self.folder = self._launched(NAME)
        self.other = self._launched("innocent")
        (self.other / "home" / "diary").write_bytes(SECRET)
        home.cli_json("volume", "create", "data", "--type", "efs")
        self._bring_in()
        self.before = self.digest()

    def _launched(self, name):
        self.home.cli_json("launch", "plain-shell", name)
        id = self.home.cli_json("show", name)["id"]
        return self.home.folder / "workspaces" / id

    def _bring_in(self):
        """Copy the program and what it needs into the workspace, as its owner would."""
        program = compile_hostile(self.outside / "out")
        assert self.home.cli("cp", str(program), f"{NAME}:{NAME}").returncode == 0
        home, secret = self.folder / "home", self.outside / "secret"
        script = "mkdir -p swap churn volumes .local; echo decoy > swap/id; chmod 700 hostile; "
        script += f"ln -s {secret} away; ln -s {secret} volumes-link; ln -s {secret} local-link"
        done = self.home.cli("exec", NAME, "--", "sh", "-c", f"cd {home}; {script}")
        assert done.returncode == 0, done.stderr

    def races(self):
        """The modes of the program that run at the same time, each in its own process."""
        home, state = self.folder / "home", self.home.folder
        secrets = [self.outside / "secret" / "id", self.other / "home" / "diary"]
        secrets += [self.folder / "order.json", self.folder / "wanted.json", self.folder / "token"]
        secrets += [state / "ssh" / "id_ed25519", "/etc/shadow", "/proc/1/mem"]
        targets = [self.outside / "secret", self.other / "home", self.folder, state]
        targets += [state / "storage", "/etc", "/usr/local", "/opt", "/sys/fs/cgroup", "/proc/sys"]
        return [
            ("intrude", state / "storage" / "volumes", self.outside / "secret"),
            ("exchange", home / "swap", home / "away"),
            ("exchange", home / "volumes", home / "volumes-link"),
            ("exchange", home / ".local", home / "local-link"),
            ("read", *secrets),
            ("write", *targets),
            ("churn", home / "churn"),
        ]

    @contextlib.contextmanager
    def running_races(self):
        """Run all races until the block ends; `found` then has what they could reach."""
        lines = [" ".join(["./hostile", *map(str, race)]) for race in self.races()]
        command = [
            str(BIN / "prism"),
            "exec",
            NAME,
            "--",
            "sh",
            "-c",
            " & ".join([*lines, "wait"]),
        ]
        if isinstance(self.home, OrdinaryHome):
            command = as_ordinary(command)
        got = self.outside / "found"
        with got.open("wb") as file:
            process = subprocess.Popen(command, env=self.home.environ, stdout=file)
        try:
            yield
        finally:
            process.terminate()
            process.wait(120)
        # /tmp belongs to the workspace; `written` looks for files that arrived outside.
        reports = got.read_text().splitlines()
        self.found = [line for line in reports if not line.startswith("wrote /tmp/")]

    def digest(self):
        """The hashes of all files outside that must not change."""
        digests = {}
        for top in (self.outside / "secret", self.other / "home", self.home.folder / "ssh"):
            for path in sorted(top.rglob("*")):
                is_file = path.is_file() and not path.is_symlink()
                digests[str(path)] = sha256(path.read_bytes()).hexdigest() if is_file else ""
        return digests

    def written(self):
        """The files that it wrote outside of its own folders."""
        own = [self.folder / name for name in ("home", "venv", "tmp")]
        arrived = [*self.home.folder.rglob("attacked"), *self.outside.rglob("attacked")]
        return [path for path in arrived if not any(path.is_relative_to(place) for place in own)]

    def run_or_refused(self, *words):
        """Run a command that may be refused, but must end with a reason."""
        done = self.home.cli(*words)
        assert done.returncode == 0 or "error:" in done.stderr, (words, done)
        assert SECRET.decode() not in done.stdout + done.stderr, words
        return done

    def assert_no_secret(self, top):
        """Assert that no file of a tree contains the secret."""
        for folder, _, names in os.walk(top):
            for path in (Path(folder, name) for name in names):
                if path.is_file() and not path.is_symlink():
                    assert SECRET not in path.read_bytes(), path


def attach_and_detach(hostile_home, n):
    """A volume is attached and detached."""
    for verb in ("attach", "detach"):
        done = hostile_home.run_or_refused("volume", verb, "data", NAME)
        assert done.returncode == 0, done.stderr


def snapshot_and_restore(hostile_home, n):
    """The workspace's disk is copied, and the snapshot restored as a volume."""
    if hostile_home.run_or_refused("snapshot", "create", f"s{n}", "--workspace", NAME).returncode:
        return
    hostile_home.assert_no_secret(hostile_home.home.folder / "storage" / "snapshots")
    if hostile_home.run_or_refused("snapshot", "restore", f"s{n}", f"v{n}").returncode == 0:
        hostile_home.done["restored"] += 1
        hostile_home.assert_no_secret(hostile_home.home.folder / "storage" / "volumes")
        hostile_home.run_or_refused("volume", "delete", f"v{n}", "--yes")
    hostile_home.run_or_refused("snapshot", "delete", f"s{n}", "--yes")


def copy_out(hostile_home, n):
    """A folder that is sometimes a link is copied out of the workspace."""
    target = hostile_home.outside / "out" / f"copy{n}"
    target.mkdir()
    target.chmod(0o777)
    hostile_home.run_or_refused("cp", f"{NAME}:swap", str(target))
    hostile_home.assert_no_secret(target)
    shutil.rmtree(target)


def copy_in(hostile_home, n):
    """A file is copied into a folder that is sometimes a link."""
    hostile_home.run_or_refused(
        "cp", str(hostile_home.outside / "out" / "hostile"), f"{NAME}:swap/copied"
    )


def execute(hostile_home, n):
    """A program runs and returns its exit code."""
    assert hostile_home.home.cli("exec", NAME, "--", "sh", "-c", "exit 7").returncode == 7


def logs(hostile_home, n):
    """The workspace's logs are read."""
    for kind in ("console", "application"):
        assert hostile_home.run_or_refused("logs", NAME, "--type", kind).returncode == 0


VERBS = (attach_and_detach, snapshot_and_restore, copy_out, copy_in, execute, logs)


def assault(home, outside, seconds):
    """Run all races and verbs for `seconds`, then terminate; count how often each verb ran."""
    hostile_home = HostileHome(home, outside)
    until, n = time.monotonic() + seconds, 0
    with hostile_home.running_races():
        while time.monotonic() < until or n < len(VERBS):
            verb = VERBS[n % len(VERBS)]
            verb(hostile_home, n)
            hostile_home.done[verb.__name__] += 1
            n += 1
        written = hostile_home.written()
        home.cli_json("terminate", NAME, "--yes")
    assert (hostile_home.found, written) == ([], [])
    assert hostile_home.digest() == hostile_home.before
    left = (
        [path.name for path in hostile_home.folder.iterdir()]
        if hostile_home.folder.exists()
        else []
    )
    assert "home" not in left
    home.cli_json("terminate", "innocent", "--yes")
    return hostile_home.done
