"""Prepares a machine's disk: the environment, its packages, `post_install`.

Each step is stamped with its inputs, so a restart skips finished steps. Tools run at low priority,
and installs one per core at a time over all machines of this home, so that fifty launches at once
do not overload the computer.

If there is a sandbox, no code of a package runs outside of it. uv puts wheels into a new
environment, in a sandbox where only that and the cache can be written (`installer.py`). Packages
from source are built inside of the workspace, with a cache of its own, which no other workspace
ever reads. If root can make no sandbox, uv runs as the workspace's own user from the beginning.
"""

import hashlib
import json
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from pathlib import Path

from prism.agent.machine.folder import shares_blocks
from prism.agent.machine.machine_config import MachineConfig
from prism.agent.machine.output_logs import OutputLog, last_words
from prism.agent.machine.process_group import ProcessGroup, ProgramFailed, Work
from prism.agent.network.namespace import NetworkUnavailable
from prism.agent.packages.install_failures import known_failure
from prism.agent.packages.install_progress import InstallProgress
from prism.agent.packages.installation_slots import InstallSlot
from prism.agent.packages.installer import (
    NO_PROGRAMS,
    InstallerSandbox,
    InstallerView,
    is_fetched_by_a_program,
    named_files,
    needs_build,
    works,
)
from prism.agent.packages.package_trees import TreeBuilder, are_plain, environment_of, recorded
from prism.agent.protocol import RESOLUTIONS, TREE_FILE
from prism.agent.sandbox.bubblewrap import bubblewrap, has_worked
from prism.agent.sandbox.host_user import is_root
from prism.agent.sandbox.identity import NoIdentity, can_make_namespaces, is_privileged
from prism.agent.sandbox.overlay_probe import works as overlay_works
from prism.agent.system import overlay
from prism.agent.system.safe_paths import LINK, Directory, remove_tree

NOT_FOR_TOOLS = ("trees", "slots", RESOLUTIONS)  # folders of the cache
UNREACHABLE = "NETWORK_UNREACHABLE"
Tell = Callable[[str, int], None]
MOVED_SCRIPTS = Path(__file__).parents[1] / "moved_scripts.py"
# A login shell reads the system's profile first, which may replace PATH.
FOLDERS = (".config", ".cache", ".local/share", ".local/state", ".local/run")
SHELL_PROFILE = """\
PATH="$VIRTUAL_ENV/bin:$HOME/.local/bin:$PATH"
if [ -n "$BASH" ] && [ -f "$HOME/.bashrc" ]; then . "$HOME/.bashrc"; fi
"""


class Setup:
    """Prepares one machine's disk for its spec."""

    def __init__(self, config: MachineConfig, process_group: ProcessGroup, tell: Tell) -> None:
        self._config, self._process_group, self._tell = config, process_group, tell
        self._folder = config.folder
        self._log = OutputLog(self._folder.logs / "setup.log", self._note_progress)
        self._progress: InstallProgress | None = None  # of the packages, while they are installed
        self._bwrap: str | None = None  # the path of bubblewrap, once it is known to work
        self._installer: InstallerSandbox | None = None  # while it is needed
        self._as_workspace = False  # whether uv runs as the workspace's user, without a sandbox
        self._is_new = False  # whether the environment was just made and is unused
        self._shares = False  # whether its packages shall be a tree below its own changes
        self._is_next_due = False  # whether versions should be chosen for the next workspace

    def work(self) -> Work:
        """Do all steps that are not finished."""
        for path in (self._folder.home, self._folder.logs):
            path.mkdir(exist_ok=True)
        _make_usual_folders(self._folder.home)
        try:
            yield from self._once("environment", self._environment, self._environment_inputs())
            yield from self._once("packages", self._packages, self._config.packages)
            yield from self._remake_tree()
        finally:
            self._close_installer()
        yield from self._correct_moved_scripts()
        yield from self._once("post_install", self._post_install, self._config.post_install)

    def _close_installer(self) -> None:
        if self._installer:
            self._installer.close()
            self._installer = None

    def _once(self, stage: str, work: Callable[[], Work], made_of: list[str]) -> Work:
        stamp, mark = self._stamp(stage), _fingerprint(stage, made_of)
        if stamp.exists() and stamp.read_text() == mark:
            return
        if stage == "environment":  # a new one is empty
            for later in ("packages", "post_install"):
                self._stamp(later).unlink(missing_ok=True)
        yield from work()
        stamp.write_text(mark)

    def _correct_moved_scripts(self) -> Work:
        """Let the scripts of an environment run where its home was moved to."""
        made_at, venv = self._config.spec.get("made_at"), self._folder.venv
        if made_at is None or not self._stamp("environment").exists():
            return
        places, stamp = [f"{made_at}/venv", str(venv)], self._stamp("moved")
        mark = _fingerprint("moved", places)
        if stamp.exists():
            known = stamp.read_text().splitlines()
            if known[-1:] == [mark]:
                return
            places[0] = known[0] if len(known) > 1 else places[0]  # it was moved before
        program = MOVED_SCRIPTS.read_text()  # the workspace does not see our files
        argv = [self._config.spec["python"], "-I", "-S", "-c", program, str(venv), *places]
        code = yield from self._run_inside(argv, self._config.program_environment())
        if not code:
            stamp.write_text(f"{venv}\n{mark}")

    def _stamp(self, stage: str) -> Path:
        return self._folder.path / f"{stage}.done"

    def _environment_inputs(self) -> list[str]:
        """The inputs of the environment; an older Prism without trees makes it anew then."""
        tree = ["tree"] if recorded(self._folder.path) else []
        return [self._config.spec["python"], *tree]

    def _environment(self) -> Work:
        self._tell("environment", 1)
        self._empty_venv()
        is_apart = bool(self._config.spec.get("sandbox", True))
        self._bwrap = bubblewrap() if is_apart and (is_privileged() or not is_root()) else None
        if self._bwrap and is_root() and not has_worked(self._folder.path):
            self._bwrap = self._bwrap if can_make_namespaces() else None
        self._as_workspace = is_apart and is_root() and not self._bwrap
        self._shares = has_worked(self._folder.path) and self._can_share()
        if not self._shares:  # a tree has an environment of its own
            yield from self._own_environment()
        self._is_new = True

    def _own_environment(self) -> Work:
        """Make an environment that only this machine has, in its empty folder."""
        argv = ["venv", "--python", self._config.spec["python"], str(self._folder.venv)]
        code = yield from self._uv(argv)
        if code and self._bwrap and not (has_worked(self._folder.path) or works(self._bwrap)):
            self._bwrap = None  # this system does not allow sandboxes
            self._as_workspace = is_root()
            self._empty_venv()
            code = yield from self._uv(argv)
        if code:
            problem = "the Python environment cannot be made"
            raise meaning(problem, self._log.last, self._config.name)

    def _empty_venv(self) -> None:
        """Make an empty folder: what a workspace left in the old one could mislead uv."""
        (self._folder.path / TREE_FILE).unlink(missing_ok=True)
        remove_tree(self._folder.venv)
        self._folder.venv.mkdir()
        self._process_group.give(self._folder.venv)

    def _packages(self) -> Work:
        if not self._config.packages and self._has_environment:
            return
        self._tell("packages", 5)
        if not self._is_new:  # an earlier try has left something in it
            yield from self._environment()
        if not (self._shares and self._use_finished_tree()) and self._has_something_to_install:
            with InstallSlot(Path(self._config.spec["slots"])) as slot:
                while not slot.taken():
                    yield
                yield from self._install_all()
        made_of = self._environment_inputs()  # it may have a tree now, or none any more
        self._stamp("environment").write_text(_fingerprint("environment", made_of))

    @property
    def _has_environment(self) -> bool:
        try:
            with Directory.at(self._folder.venv) as venv:
                venv.stat("pyvenv.cfg")
        except OSError:
            return False
        return True

    @property
    def _has_something_to_install(self) -> bool:
        return self._shares or bool(self._config.packages)

    def _use_finished_tree(self) -> bool:
        """Use a tree that is complete, if its versions were chosen lately: no tool has to run."""
        with InstallSlot(Path(self._config.spec["slots"])) as slot:
            if not slot.taken_shared():
                return False
            trees, packages = self._trees(), self._tree_packages
            if (record := trees.finished(packages)) is None:
                return False
            known = trees.resolution(packages)
            self._is_next_due = known is not None and not known.is_up_to_date
            trees.assign(record)
        return True

    def _install_all(self) -> Work:
        self._tell("packages", 10)
        self._progress = InstallProgress()
        code = yield from self._install()
        self._progress = None
        if code:
            problem = "the packages cannot be installed"
            raise meaning(problem, self._log.last, self._config.name)

    @property
    def _tree_packages(self) -> list[str]:
        return ["pip", *self._config.packages] if self._config.packages else []

    def choose_next(self) -> Work:
        """Choose versions for the next workspace, if those that this one got are not quite new."""
        if not self._is_next_due:
            return
        self._is_next_due = False
        try:
            with InstallSlot(Path(self._config.spec["slots"])) as slot:
                while not slot.taken():
                    yield
                trees = self._trees()
                _, record = yield from trees.choose_anew(self._tree_packages)
                if record is not None:
                    yield from trees.make(record)
        except (ProgramFailed, OSError) as error:  # the next one chooses by itself
            self._log.write(f"no versions could be chosen for later: {error}\n".encode())
        finally:
            self._close_installer()

    def _install(self) -> Generator[None, None, int]:
        """Install the packages; in a sandbox, packages from source are built inside."""
        python = str(self._folder.venv / "bin" / "python")
        argv = ["pip", "install", "--python", python]
        packages = ["--", "pip", *self._config.packages]  # no package is an option
        if self._as_workspace:
            return (yield from self._install_as_workspace(argv, packages))
        if not self._bwrap:
            return (yield from self._uv([*argv, *packages]))
        if self._shares or self._can_share():
            code = yield from self._share()
            if not code or not needs_build(self._log.last):
                return code
            if self._shares:
                yield from self._own_environment()
        elif not any(map(is_fetched_by_a_program, self._config.packages)):
            # By default uv links to the files of its cache. Then all machines would share them,
            # and a program that writes to such a file would change it for all machines.
            shares = shares_blocks(Path(self._config.spec["cache"]), self._folder.path)
            apart = ["--link-mode", "clone" if shares else "copy", "--no-build"]
            code = yield from self._uv([*argv, *apart, *packages])
            if not code or not needs_build(self._log.last):
                return code
        command = [self._config.spec["uv"], *argv, "--link-mode", "copy", *packages]
        environment = self._config.build_environment()
        return (yield from self._run_inside(command, environment))

    def _install_as_workspace(
        self, argv: list[str], packages: list[str]
    ) -> Generator[None, None, int]:
        """Install the packages as the workspace's user; only a build sees no password."""
        code = 1
        if not any(map(is_fetched_by_a_program, self._config.packages)):
            code = yield from self._uv([*argv, "--no-build", *packages])
            if code and not needs_build(self._log.last):
                return code
        if code:
            environment = self._config.build_environment() | self._own_cache()
            command = [self._config.spec["uv"], *argv, *packages]
            code = yield from self._run_inside(command, environment)
        remove_tree(self._own_cache()["UV_CACHE_DIR"])
        return code

    def _own_cache(self) -> dict[str, str]:
        """A cache that lasts for one installation: the common one belongs to root."""
        return {"UV_CACHE_DIR": str(self._folder.path / "tmp" / "uv")}

    def _can_share(self) -> bool:
        """Whether its packages can be a tree that other workspaces use too."""
        cache = Path(self._config.spec["cache"])
        if not self._bwrap or not are_plain(self._config.packages):
            return False
        cache.mkdir(parents=True, exist_ok=True)
        with overlay.OverlayTrial(self._folder.path) as trial:
            return overlay_works(self._bwrap, cache, trial.path)

    def _share(self) -> Generator[None, None, int]:
        """Show a tree of packages that other workspaces use too; the installer's exit code."""
        trees, packages = self._trees(), self._tree_packages
        code, record = yield from trees.choose(packages)
        if record is None:
            record = trees.finished(packages, usable=False)
            failure = known_failure(self._log.last)
            if record is None or failure is None or failure.code != UNREACHABLE:
                return code
            self._log.write(f"{failure.reason}: these are the versions of before\n".encode())
        if code := (yield from trees.make(record)):
            return code
        self._empty_venv()
        trees.assign(record)
        return 0

    def _remake_tree(self) -> Work:
        """Make the tree of this machine again, if it was removed."""
        record, spec = recorded(self._folder.path), self._config.spec
        if not record or environment_of(Path(spec["cache"]).parent, record["tree"]).exists():
            return
        self._tell("packages", 10)
        self._bwrap = bubblewrap()
        with InstallSlot(Path(spec["slots"])) as slot:
            while not slot.taken():
                yield
            if (yield from self._trees().make(record)):
                problem = "the packages that it had were removed, and cannot be installed again"
                raise meaning(problem, self._log.last, self._config.name)

    def _trees(self) -> TreeBuilder:
        environ = self._config.tool_environment()
        spec, folder = self._config.spec, self._folder.path
        return TreeBuilder(spec, folder, self._run_tool, environ, named_files())

    def _uv(self, argv: list[str]) -> Generator[None, None, int]:
        """Run uv for the machine's own environment."""
        command = [self._config.spec["uv"], *argv]
        if self._as_workspace:
            own = {"HOME": str(self._folder.home), "UV_NO_CONFIG": "1", **self._own_cache()}
            environment = self._config.tool_environment() | own
            return (yield from self._run_inside(command, environment))
        return (yield from self._run_tool(command, Path(self._config.spec["cache"]), own=True))

    def _run_tool(
        self, command: list[str], writable: Path, *, own: bool = False
    ) -> Generator[None, None, int]:
        """Run a tool of ours, in a sandbox if machines have one; its exit code.

        It may write to `writable` and, with `own`, the machine's venv; never to a finished tree.
        """
        spec, folder = self._config.spec, self._folder
        writable.mkdir(parents=True, exist_ok=True)
        environment = self._config.tool_environment()
        if not self._bwrap:
            return (yield from self._process_group.run(command, environment, self._log))
        cache = Path(spec["cache"]).parent
        readonly = [cache / name for name in NOT_FOR_TOOLS] if writable == cache else []
        for path in readonly:  # else a tool could make it, with a content of its choice
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        places = [writable, folder.venv] if own else [writable]
        readonly += [] if own else [folder.venv]
        home, reachable = folder.path.parents[1], spec.get("reachable", [])
        view = InstallerView(places, reachable, home, readonly)
        if self._installer is None:
            self._installer = InstallerSandbox(self._bwrap, folder.path)
        try:
            tool = self._installer.tool(command, view, dials=command[1] == "pip")
        except (NoIdentity, NetworkUnavailable, OSError) as error:
            if isinstance(error, NoIdentity) and works(self._bwrap):
                raise ProgramFailed(
                    "MACHINE_FAILED",
                    f"there is no user for the installer of packages: {error}. See `prism doctor`",
                ) from error
            self._log.write(f"the installer cannot be started: {error}\n".encode())
            return 1
        try:
            environment |= {"PATH": NO_PROGRAMS}
            run = self._process_group.run(tool.argv, environment, self._log, tool.prepare)
            return (yield from run)
        finally:
            for descriptor in tool.descriptors:
                os.close(descriptor)

    def _post_install(self) -> Work:
        for command in self._config.post_install:
            self._tell("post_install", 82)
            code = yield from self._shell(self._config.fill(command))
            if code:
                words = last_words(self._log.last)
                raise ProgramFailed(
                    "POST_INSTALL_FAILED",
                    f"`{command}` ended with exit code {code}: {words}. Correct the template, "
                    f"then `prism workspace start {self._config.name} --template-again`; or "
                    f"try again with `prism workspace start {self._config.name}`",
                )

    def _shell(self, command: str) -> Generator[None, None, int]:
        argv = ["/bin/sh", "-c", command]
        return (yield from self._run_inside(argv, self._config.program_environment()))

    def _run_inside(
        self, argv: list[str], environment: Mapping[str, str]
    ) -> Generator[None, None, int]:
        """Run a program in the workspace, to its end; its exit code."""
        program = self._process_group.start(argv, environment, self._folder.home, self._log)
        return (yield from self._process_group.until_ended(program, self._log))

    def _note_progress(self, line: str) -> None:
        """Update the progress from uv's output."""
        if self._progress is not None and self._progress.add_line(line):
            self._tell(self._progress.stage, self._progress.percent)


def _make_usual_folders(home: Path) -> None:
    """Make the folders that programs expect in a home; existing entries stay."""
    with Directory.at(home) as folder:
        for name in FOLDERS:
            try:
                folder.make(name).close()
            except OSError as error:
                if error.errno not in LINK:  # a file or link that the workspace has made
                    raise
        with suppress(FileExistsError):
            folder.write_new(".profile", SHELL_PROFILE.encode())


def _fingerprint(stage: str, made_of: list[str]) -> str:
    return hashlib.sha256(json.dumps([stage, made_of]).encode()).hexdigest()


def meaning(problem: str, text: str, name: str) -> ProgramFailed:
    """The cause of a failure, from the end of the tool's output."""
    known = known_failure(text)
    code = known.code if known else "INSTALL_FAILED"
    advice = f"{known.reason}: {known.fix}" if known else "look into its log"
    corrected = " --template-again" if code == "PACKAGE_NOT_FOUND" else ""
    again = f"then `prism workspace start {name}{corrected}`"
    return ProgramFailed(
        code, f"{problem}; {advice}, {again}. Its last output: {last_words(text)}"
    )
