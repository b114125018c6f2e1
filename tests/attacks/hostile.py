"""A workspace full of races, and every verb that touches its folder, over and over.

To add a race, add a mode to `hostile.c` and a line to `races`. To add a verb, add a function to
`VERBS`: it gets the siege and a number, does it to its end, and asserts that the end is right.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

from tests.attacks.compiled import compiled
from tests.attacks.ordinary import OrdinaryHome, as_ordinary
from tests.daemons import BIN

SECRET = b"what no workspace may read"
NAME = "hostile"


class HostileHome:
    """One home with a hostile workspace, an innocent one beside it, and what is outside."""

    def __init__(self, home, outside):
        self.home, self.outside, self.done = home, outside, Counter[str]()
        (outside / "secret").mkdir(parents=True)
        (outside / "secret" / "id").write_bytes(SECRET)
        (outside / "out").mkdir()
        for path in (outside, outside / "out", outside / "secret"):
            path.chmod(0o777)  # whoever the daemon is; a sandbox shows nothing of it
        self.folder = self._launched(NAME)
        self.other = self._launched("innocent")
        (self.other / "home" / "diary").write_bytes(SECRET)
        home.said("volume", "create", "data", "--type", "efs")
        self._bring_in()
        self.before = self.digest()

    def _launched(self, name):
        self.home.said("launch", "plain-shell", name)
        id = self.home.said("show", name)["id"]
        return self.home.folder / "workspaces" / id

    def _bring_in(self):
        """The program and what it needs, as its owner would bring it."""
        program = compiled(self.outside / "out")
        assert self.home.cli("cp", str(program), f"{NAME}:{NAME}").returncode == 0
        home, secret = self.folder / "home", self.outside / "secret"
        script = "mkdir -p swap churn volumes .local; echo decoy > swap/id; chmod 700 hostile; "
        script += f"ln -s {secret} away; ln -s {secret} volumes-link; ln -s {secret} local-link"
        done = self.home.cli("exec", NAME, "--", "sh", "-c", f"cd {home}; {script}")
        assert done.returncode == 0, done.stderr

    def races(self):
        """What it does at once, each in a process of its own."""
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
    def raging(self):
        """All races, until the block ends; what they got at is in `found` then."""
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
        # Below /tmp everything is its own; what arrives outside is looked for there.
        reports = got.read_text().splitlines()
        self.found = [line for line in reports if not line.startswith("wrote /tmp/")]

    def digest(self):
        """Everything outside that must stay as it is."""
        digests = {}
        for top in (self.outside / "secret", self.other / "home", self.home.folder / "ssh"):
            for path in sorted(top.rglob("*")):
                is_file = path.is_file() and not path.is_symlink()
                digests[str(path)] = sha256(path.read_bytes()).hexdigest() if is_file else ""
        return digests

    def written(self):
        """What it has put outside of what is its own."""
        own = [self.folder / name for name in ("home", "venv", "tmp")]
        arrived = [*self.home.folder.rglob("attacked"), *self.outside.rglob("attacked")]
        return [path for path in arrived if not any(path.is_relative_to(place) for place in own)]

    def told(self, *words):
        """What a command says that may be refused, but must come to its end and say why."""
        done = self.home.cli(*words)
        assert done.returncode == 0 or "error:" in done.stderr, (words, done)
        assert SECRET.decode() not in done.stdout + done.stderr, words
        return done

    def holds_no_secret(self, top):
        """Nothing that is nobody's business has come into a tree."""
        for folder, _, names in os.walk(top):
            for path in (Path(folder, name) for name in names):
                if path.is_file() and not path.is_symlink():
                    assert SECRET not in path.read_bytes(), path


def attach_and_detach(siege, n):
    """A volume comes and goes."""
    for verb in ("attach", "detach"):
        done = siege.told("volume", verb, "data", NAME)
        assert done.returncode == 0, done.stderr


def snapshot_and_restore(siege, n):
    """Its disk is copied, and the copy made a volume."""
    if siege.told("snapshot", "create", f"s{n}", "--workspace", NAME).returncode:
        return
    siege.holds_no_secret(siege.home.folder / "storage" / "snapshots")
    if siege.told("snapshot", "restore", f"s{n}", f"v{n}").returncode == 0:
        siege.done["restored"] += 1
        siege.holds_no_secret(siege.home.folder / "storage" / "volumes")
        siege.told("volume", "delete", f"v{n}", "--yes")
    siege.told("snapshot", "delete", f"s{n}", "--yes")


def copy_out(siege, n):
    """A folder is copied out of it that is a link now and then."""
    target = siege.outside / "out" / f"copy{n}"
    target.mkdir()
    target.chmod(0o777)
    siege.told("cp", f"{NAME}:swap", str(target))
    siege.holds_no_secret(target)
    shutil.rmtree(target)


def copy_in(siege, n):
    """A file is copied into a folder that is a link now and then."""
    siege.told("cp", str(siege.outside / "out" / "hostile"), f"{NAME}:swap/copied")


def execute(siege, n):
    """A program is run, and its end told."""
    assert siege.home.cli("exec", NAME, "--", "sh", "-c", "exit 7").returncode == 7


def logs(siege, n):
    """What it says is read."""
    for kind in ("console", "application"):
        assert siege.told("logs", NAME, "--type", kind).returncode == 0


VERBS = (attach_and_detach, snapshot_and_restore, copy_out, copy_in, execute, logs)


def assault(home, outside, seconds):
    """All of it for that long, and then its end; how often each verb came to its own."""
    siege = HostileHome(home, outside)
    until, n = time.monotonic() + seconds, 0
    with siege.raging():
        while time.monotonic() < until or n < len(VERBS):
            verb = VERBS[n % len(VERBS)]
            verb(siege, n)
            siege.done[verb.__name__] += 1
            n += 1
        written = siege.written()
        home.said("terminate", NAME, "--yes")
    assert (siege.found, written) == ([], [])
    assert siege.digest() == siege.before
    left = [path.name for path in siege.folder.iterdir()] if siege.folder.exists() else []
    assert "home" not in left
    home.said("terminate", "innocent", "--yes")
    return siege.done
