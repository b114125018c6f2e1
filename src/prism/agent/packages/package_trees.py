"""Trees of installed packages; all workspaces of a home with the same packages share one.

    cache/trees/KEY/venv      an environment that nobody writes any more
    cache/trees/KEY/pins.txt  each package in it, with its version and hashes
    cache/drafts/             trees that are being made
    workspaces/ID/tree.json   which tree a workspace shows below its own changes (`overlay.py`)

KEY is a hash of the pins and of the Python. uv chooses the versions for each workspace, or has
chosen them within the last hour (`package_resolutions.py`). A tree without packages is an empty
environment. A tree gets its final name when it is complete and on the disk. Making one needs an
installation slot (`installation_slots.py`), using one that exists needs the slot that any number
may have at once, and removing trees needs all of them, so no tree is removed before a workspace
has recorded it.
"""

import ctypes
import fcntl
import json
import os
import re
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

from prism.agent.machine.folder import read, write
from prism.agent.packages.package_resolutions import Resolution, Resolutions, resolution_key
from prism.agent.protocol import TREE_FILE, LocalMachineSpec, PackageTree
from prism.agent.system import overlay
from prism.agent.system.safe_paths import remove_tree

TREE_KEY = re.compile(r"[0-9a-f]{64}")
# A name with extras and versions. A requirements file could contain more: options, paths of files
# to read, and environment variables, which may be secret.
PLAIN_PACKAGE = re.compile(
    r"[A-Za-z0-9][\w.-]*(\[[\w., -]*\])?[ ]*([<>=!~]=?=?[\w.*+!<>=~, -]+)?", re.ASCII
)
# The packages' own tests are rarely imported, and take a quarter of the time.
NOT_COMPILED = r"[/\\]tests?[/\\]"
Run = Callable[[list[str], Path], Generator[None, None, int]]
"""Runs one of our tools, which can write to one folder only; returns its exit code."""


def recorded(folder: Path) -> PackageTree | None:
    """The tree of a workspace; None if it has its own packages."""
    record = read(folder / TREE_FILE)
    key, pins = record.get("tree"), record.get("pins")
    known = isinstance(key, str) and isinstance(pins, str) and TREE_KEY.fullmatch(key)
    return {"tree": str(key), "pins": str(pins)} if known else None


def environment_of(cache: Path, key: str) -> Path:
    """The environment of a tree; `cache` is the folder of trees and wheels."""
    return cache / "trees" / key / "venv"


def lower_of(folder: Path, spec: LocalMachineSpec) -> str | None:
    """The tree below a workspace's own changes; None if it has no tree."""
    if (record := recorded(folder)) is None:
        return None
    return str(environment_of(Path(spec["cache"]).parent, record["tree"]))


def are_plain(packages: list[str]) -> bool:
    """Whether all packages can be written into a requirements file."""
    return all(PLAIN_PACKAGE.fullmatch(package) for package in packages)


class TreeBuilder:
    """Finds or makes the tree of one workspace's packages, while it has an installation slot."""

    def __init__(
        self,
        spec: LocalMachineSpec,
        folder: Path,
        run: Run,
        environ: Mapping[str, str],
        settings: Sequence[str] = (),
    ) -> None:
        """`environ` and `settings` are the variables and files that uv reads."""
        self._spec, self._folder, self._run = spec, folder, run
        self._environ, self._settings = environ, settings
        self._cache = Path(spec["cache"]).parent
        self._resolutions = Resolutions(self._cache)

    def finished(self, packages: list[str], *, usable: bool = True) -> PackageTree | None:
        """A tree of these packages that needs no tool, because all is known and made.

        Without `usable`, also one with versions that were chosen long ago.
        """
        known = self.resolution(packages)
        if known is None or (usable and not known.is_usable):
            return None
        record = self._record(known.pins)
        return record if environment_of(self._cache, record["tree"]).exists() else None

    def resolution(self, packages: list[str]) -> Resolution | None:
        """The last versions that uv chose for these packages; None if it has to choose."""
        if not packages:
            return Resolution("", 0.0)
        key = self._key(packages)
        return self._resolutions.find(key) if key else None

    def choose(self, packages: list[str]) -> Generator[None, None, tuple[int, PackageTree | None]]:
        """Choose the versions; returns uv's exit code and the tree with these versions."""
        known = self.resolution(packages)
        if known is not None and known.is_usable:
            return 0, self._record(known.pins)
        return (yield from self.choose_anew(packages))

    def choose_anew(
        self, packages: list[str]
    ) -> Generator[None, None, tuple[int, PackageTree | None]]:
        """Let uv choose the versions now."""
        draft, at = self._draft(), time.time()
        try:
            requirements, pins = draft / "requirements.in", draft / "pins.txt"
            requirements.write_text("\n".join(packages) + "\n")
            argv = [self._spec["uv"], "pip", "compile", "--quiet", "--no-build"]
            # uv has examined this Python already, unlike the Python of a new environment.
            argv += ["--generate-hashes", "--no-header", "--no-annotate", "--python"]
            argv += [self._spec["python"], "-o", str(pins), str(requirements)]
            if code := (yield from self._run(argv, self._cache)):
                return code, None
            text = pins.read_text()
            if key := self._key(packages):
                self._resolutions.store(key, text, at)
            return 0, self._record(text)
        finally:
            remove_tree(draft)

    def _key(self, packages: list[str]) -> str | None:
        python, uv = self._spec["python"], self._spec["uv"]
        return resolution_key(packages, python, uv, self._environ, self._settings)

    def _record(self, pins: str) -> PackageTree:
        from hashlib import sha256  # noqa: PLC0415  cold start: it brings OpenSSL

        python = [os.path.realpath(self._spec["python"]), sys.version]
        key = sha256(json.dumps([pins, *python]).encode())
        return {"tree": key.hexdigest(), "pins": pins}

    def make(self, record: PackageTree) -> Generator[None, None, int]:
        """Make a tree, unless it exists or another workspace is making it."""
        tree = environment_of(self._cache, record["tree"]).parent
        lock = os.open(
            self._drafts() / f"{record['tree']}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        )
        try:
            while not _try_lock(lock):
                yield
            if tree.exists():
                return 0
            return (yield from self._make(record, tree))
        finally:
            os.close(lock)

    def _make(self, record: PackageTree, tree: Path) -> Generator[None, None, int]:
        draft = self._draft()
        venv, pins = draft / "venv", draft / "pins.txt"
        uv, python = self._spec["uv"], self._spec["python"]
        try:
            pins.write_text(record["pins"])
            create = [uv, "venv", "--quiet", "--relocatable", "--python", python, str(venv)]
            # Wheels are linked from the cache, which, like the tree, only our tools can write.
            install = [uv, "pip", "install", "--python", str(venv / "bin" / "python")]
            install += ["--link-mode", "hardlink", "--no-build", "--no-deps", "-r", str(pins)]
            for argv in (create, install) if record["pins"] else (create,):
                if code := (yield from self._run(argv, self._cache)):
                    return code
            # Without site packages (`-S`): compiling runs none of a package's code.
            compiled = [python, "-I", "-S", "-m", "compileall", "-qq", "-j", "0"]
            yield from self._run([*compiled, "-x", NOT_COMPILED, str(venv / "lib")], draft)
            _sync(draft)
            tree.parent.mkdir(exist_ok=True)
            draft.rename(tree)
            return 0
        finally:
            remove_tree(draft)

    def assign(self, record: PackageTree) -> None:
        """Record the tree in the workspace, whose environment has to be empty."""
        overlay.make_layers(self._folder / "venv")
        write(self._folder / TREE_FILE, record, durable=True)

    def _drafts(self) -> Path:
        drafts = self._cache / "drafts"
        drafts.mkdir(parents=True, exist_ok=True)
        return drafts

    def _draft(self) -> Path:
        draft = self._drafts() / os.urandom(8).hex()
        draft.mkdir(mode=0o700)
        return draft


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync(tree: Path) -> None:
    """Flush a tree to the disk: even after a power cut, one with its final name is complete."""
    folder = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        ctypes.CDLL(None).syncfs(folder)
    finally:
        os.close(folder)
