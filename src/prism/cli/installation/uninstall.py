"""`prism uninstall`: removes Prism from this computer; your data only if you choose that."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from fnmatch import fnmatchcase
from glob import escape as glob_escape
from glob import glob

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.aws import leftover_line
from prism.cli.connection import StartingWire
from prism.cli.installation.clean import readable_size as size_shown
from prism.cli.installation.daemon import remove_boot_services, stop_daemon
from prism.cli.installation.daemon_start import is_listening
from prism.cli.output.terminal import ask, clean, require_terminal, say, show_json, suggest
from prism.cli.parser import add_flag
from prism.cli.workspace.locations import is_local, is_local_place
from prism.cli.workspace.ssh_config import remove_include
from prism.client.daemon import Daemon
from prism.client.names import unique_name
from prism.client.profiles import Profiles
from prism.client.storage import Snapshots, Volumes
from prism.client.transport.address import DaemonAddress
from prism.client.transport.wire import Wire
from prism.client.workspaces import Workspaces
from prism.errors import Conflict, Invalid
from prism.lifecycle import COMES_UP
from prism.profiles.providers import LOCAL

KEEP, DELETE = "keep", "delete"
SERVER_MARKS = "servers-used"  # in `ssh`: a file for each lab server that has files of Prism
LEAVE_SECONDS, LEAVE_POLL = 60.0, 0.2
REMOVED = ("cache", "ssh")  # even if the data is kept
ENDED_STATES = {"terminated", "terminating"}
RUNNING_STATES = {"running", *COMES_UP}
ASLEEP = {"hibernating", "hibernated"}  # frozen local processes still use memory
HOME_MARKS = ("daemon.lock", "state.db")  # every home has one of these
HOME_FILES = (  # the files of Prism in its home; any other belongs to somebody else
    *("workspaces", "storage", "cache", "templates", "outbox", "open", "ssh", "keys", "hostkeys"),
    *("prices", "known_hosts", ".known_hosts.new", "generation.json", "sandboxed", "networked"),
    *("filtered", "isolation-note", "etc-copy", "event-ids.key*", "socket-folder*"),
    *("daemon.lock", "daemon.log*", "state.db*", "before-restore-*.dump", "reserve"),
    *("start-at-boot", "start-at-boot.new", "proxy"),
    *("prism.sock", "reports.sock"),
    *("env", "env.new", "port", "port.new", "home.json", "gui.json", "gui.new"),
    *("logins.json", "logins.json.new"),
    *("storage-used", "volumes-used", "snapshots-used", "workspaces-used"),
)
ORDER_FILES = "local-*/order.json"
PHASES = {"starting": "starting", "on": "running", "stopping": "stopping", "asleep": "hibernated"}
MOUNT_TABLE = "/proc/self/mountinfo"
OCTAL = re.compile(r"\\([0-7]{3})")  # the escapes for a blank, tab, newline or backslash in it


class Installation:
    """Everything of Prism on this computer."""

    def __init__(self, address: DaemonAddress) -> None:
        self.home = address.home
        self.exists = os.path.isdir(self.home)
        self.workspaces: list[dict[str, Any]] = []
        self.stored: list[str] = []
        self.has_cloud = False
        self.in_aws: list[dict[str, Any]] = []  # groups and key pairs
        self.servers: list[dict[str, Any]] = []  # profiles of lab servers
        self.was_asked = False

    def ask(self, wire: Wire) -> None:
        """Ask the daemon for workspaces and storage."""
        self.was_asked = True
        workspaces = wire.call(Workspaces.list)
        self.workspaces = [
            workspace for workspace in workspaces if workspace["state"] not in ENDED_STATES
        ]
        volumes, snapshots = wire.call(Volumes.list), wire.call(Snapshots.list)
        kinds = ("efs_volumes", "ebs_volumes")
        self.stored = [volume["name"] for kind in kinds for volume in volumes[kind]]
        self.stored += [snapshot["name"] for snapshot in snapshots]
        places = wire.call(Daemon.status).get("places", ())
        self.in_aws = wire.call(Daemon.aws_leftovers)
        self.servers = [each for each in wire.call(Profiles.list) if each.get("host")]
        self.has_cloud = not all(map(self._costs_nothing, places))

    def look(self) -> None:
        """Read this computer's workspaces from their folders, without a daemon."""
        for path in sorted(glob(os.path.join(glob_escape(self.home), "workspaces", ORDER_FILES))):
            seen = os.path.join(os.path.dirname(path), "seen.json")
            name, phase = _read(path).get("name"), _read(seen).get("phase")
            if isinstance(name, str) and phase != "gone":
                state = PHASES.get(str(phase), "stopped")
                self.workspaces.append({"name": clean(name), "state": state, "region": LOCAL})

    @property
    def here(self) -> list[dict[str, Any]]:
        """The workspaces of this computer."""
        return [workspace for workspace in self.workspaces if is_local(workspace)]

    @property
    def hosts(self) -> list[str]:
        """The lab servers of all profiles."""
        return sorted({host for each in self.servers for host in each["host"].split(",")})

    @property
    def on_servers(self) -> list[dict[str, Any]]:
        """The workspaces of lab servers."""
        return [workspace for workspace in self.workspaces if workspace["region"] in self.hosts]

    @property
    def in_the_cloud(self) -> list[dict[str, Any]]:
        """The workspaces that cost money elsewhere."""
        elsewhere = [workspace for workspace in self.workspaces if not is_local(workspace)]
        return [workspace for workspace in elsewhere if workspace["region"] not in self.hosts]

    def _costs_nothing(self, place: dict[str, Any]) -> bool:
        host = str(place.get("place", "")).partition(":")[2]
        return is_local_place(place) or host in self.hosts


def _read(file: str) -> dict[str, Any]:
    """The JSON object in a file; empty if there is no file."""
    try:
        with open(file, encoding="utf-8") as text:
            content = json.load(text)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def plan(
    installed: Installation, include: str | None, data: str, boot: list[str] | None = None
) -> list[str]:
    """The steps, in order, one line each; `boot` is what starts the daemon at boot."""
    at_boot = [f"remove the start of the daemon at boot: {where}" for where in boot or ()]
    if not installed.exists:
        return at_boot + ([f"remove the line that names it from {include}"] if include else [])
    down = _names(installed.here, RUNNING_STATES | ASLEEP)
    running = _names(installed.in_the_cloud, RUNNING_STATES)
    serving = [row for row in installed.on_servers if row["state"] in RUNNING_STATES]
    contents = f"{len(installed.here)} workspaces here"
    contents += f", {len(installed.stored)} volumes and snapshots" if installed.was_asked else ""
    steps = [
        f"stop the workspaces of this computer: {', '.join(down)}" if down else "",
        f"stop the workspaces in the cloud: {', '.join(running)}" if running else "",
        f"stop the workspaces on lab servers: {_with_hosts(serving)}" if serving else "",
        *(
            f"delete in AWS: {leftover_line(leftover)}"
            if data == DELETE and leftover["id"]
            else ""
            for leftover in installed.in_aws
        ),
        *(
            f"remove Prism from the lab server {host}" if data == DELETE else ""
            for host in installed.hosts
        ),
        *at_boot,
        "stop the daemon",
        f"remove the line that names it from {include}" if include else "",
        f"remove the cache of packages: {os.path.join(installed.home, 'cache')}",
        f"DESTROY {installed.home}, with all data: {contents}"
        if data == DELETE
        else f"keep your data in {installed.home}: {contents}",
    ]
    return [step for step in steps if step]


def _names(workspaces: list[dict[str, Any]], states: set[str]) -> list[str]:
    return [unique_name(row) for row in workspaces if row["state"] in states]


def _with_hosts(workspaces: list[dict[str, Any]]) -> str:
    return ", ".join(f"{unique_name(row)} on {row['region']}" for row in workspaces)


def _uninstall(args: Namespace) -> None:
    address = DaemonAddress.of_variables()
    if address.url:
        raise Invalid(
            "Nothing was removed",
            details=f"PRISM_URL names a daemon elsewhere: {address.url}",
            remediation="Unset PRISM_URL to remove what is on this computer",
        )
    installed = Installation(address)
    _refuse_unsafe(installed)
    wire = StartingWire(address)
    unasked = args.dry_run and installed.exists and not is_listening(address)
    if unasked:
        installed.look()
    elif installed.exists:
        installed.ask(wire)
    include = remove_include(os.path.join(address.home, "ssh", "config"), dry_run=True)
    data = args.data or (KEEP if args.dry_run or args.yes else _ask_about_data(installed))
    if data == DELETE:
        _refuse_leftovers(installed)
        _refuse_foreign_files(installed)
    elif installed.exists:
        _refuse_mounts(*(os.path.join(installed.home, part) for part in REMOVED))
    boot = remove_boot_services(address.home, dry_run=True)
    steps = [*(_options_for(data) if unasked else ()), *plan(installed, include, data, boot)]
    if not args.dry_run:
        _run_steps(installed, address, wire, data)
    _print_steps(args, steps)


def _options_for(data: str) -> list[str]:
    """The first steps if no daemon runs; a dry run does not start one."""
    steps = ["start the daemon, to ask it for workspaces elsewhere, volumes and snapshots"]
    if data == DELETE:
        steps.append("refuse to go on if machines or storage elsewhere would be left behind")
    return steps


def _print_steps(args: Namespace, steps: list[str]) -> None:
    program = how_to_remove_the_program(sys.prefix)
    if args.json:
        report = {"dry_run": args.dry_run, "steps": steps, "program": program}
        return show_json(report)
    for step in steps:
        print(f"would {step}" if args.dry_run else f"done: {step}")
    if not steps:
        say("Only the program itself is left of Prism on this computer")
    return suggest(f"To remove the program: {program}")


def _refuse_unsafe(installed: Installation) -> None:
    """Raise if the folder is not a home of Prism."""
    if not installed.exists:
        return
    user_home, real = os.path.realpath(os.path.expanduser("~")), os.path.realpath(installed.home)
    above = os.path.commonpath([user_home, real]) == real
    if above or not any(os.path.lexists(os.path.join(real, mark)) for mark in HOME_MARKS):
        raise Invalid(
            "Nothing was removed",
            details=f"{installed.home} does not look like a home of Prism",
            remediation="Set PRISM_HOME to the right folder",
        )


def _ask_about_data(installed: Installation) -> str:
    """Ask whether to delete the data too."""
    if not installed.exists:
        return KEEP
    hint = "Choose: `prism uninstall --data keep` or `prism uninstall --data delete`"
    require_terminal("Nothing was removed", hint)
    size = size_shown(_size(installed.home))
    say(
        f"Your data is in {installed.home} ({size}): {len(installed.here)} workspaces here, "
        f"{len(installed.stored)} volumes and snapshots."
    )
    for leftover in installed.in_aws:
        say(f"In AWS, `delete` also deletes: {leftover_line(leftover)}")
    if (answer := ask("Type `keep` or `delete`: ")) not in {KEEP, DELETE}:
        raise Invalid(
            "Nothing was removed",
            details="the answer was neither `keep` nor `delete`",
            remediation=hint,
        )
    return answer


def _refuse_leftovers(installed: Installation) -> None:
    """Raise if machines or storage would stay in the cloud or on lab servers, unlisted."""
    if installed.in_the_cloud:
        names = [workspace["name"] for workspace in installed.in_the_cloud]
        raise Conflict(
            "Nothing was removed: machines in the cloud would continue to cost money",
            details=f"without its data Prism could not find them any more: {', '.join(names)}",
            remediation=f"Destroy them first: `prism terminate {' '.join(names)}`; "
            "or keep the data: `prism uninstall --data keep`",
        )
    if installed.on_servers:
        names = [unique_name(workspace) for workspace in installed.on_servers]
        raise Conflict(
            "Nothing was removed: workspaces would stay on lab servers, with their files",
            details="without its data Prism could not find them any more: "
            f"{_with_hosts(installed.on_servers)}",
            remediation=f"Destroy them first: `prism terminate {' '.join(names)}`; "
            "or keep the data: `prism uninstall --data keep`",
        )
    if installed.has_cloud and installed.stored:
        raise Conflict(
            "Nothing was removed: storage in the cloud would continue to cost money",
            details=f"there are volumes or snapshots: {', '.join(installed.stored)}",
            remediation="See `prism volume list` and `prism snapshot list`, and delete them first",
        )


def _refuse_foreign_files(installed: Installation) -> None:
    """Raise if the home contains, or links to, files that Prism did not put there."""
    if not installed.exists:
        return
    with os.scandir(installed.home) as entries:
        foreign = sorted(
            dir_entry.name
            for dir_entry in entries
            if dir_entry.is_symlink() or not _is_ours(dir_entry.name)
        )
    if foreign:
        raise Conflict(
            f"Nothing was removed: {installed.home} contains files that Prism did not make",
            details=clean(", ".join(foreign)),
            remediation="Move it elsewhere, then `prism uninstall --data delete` again; or keep "
            "the data: `prism uninstall --data keep`",
        )
    _refuse_mounts(installed.home)


def _is_ours(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in HOME_FILES)


def _refuse_mounts(*folders: str) -> None:
    """Raise if something is mounted in a folder, since it would be removed too."""
    if mounted := [mount for folder in folders for mount in mounts_below(folder)]:
        raise Conflict(
            "Nothing was removed: something is mounted where Prism would remove files",
            details=clean(", ".join(mounted)),
            remediation="Unmount it, then try again",
        )


def _run_steps(installed: Installation, address: DaemonAddress, wire: Wire, data: str) -> None:
    file = os.path.join(address.home, "ssh", "config")
    if installed.exists:
        for workspace in installed.workspaces:
            _end_workspace(wire, workspace)
    if data == DELETE and installed.in_aws:
        _delete_in_aws(wire)
    if data == DELETE and installed.servers:
        _leave_servers(wire, installed)
    remove_boot_services(address.home)
    if installed.exists:
        stop_daemon(address)
    removed = [os.path.join(address.home, part) for part in REMOVED]
    _refuse_mounts(*removed)  # again, because stopping may have taken long
    remove_include(file)
    if not installed.exists:
        return
    if data == DELETE:
        _destroy(address.home)
    else:
        _remove(address.home, [folder for folder in removed if os.path.lexists(folder)])


def _delete_in_aws(wire: Wire) -> None:
    """Delete security groups and key pairs; name those that stay, which cost nothing."""
    for leftover in wire.call(Daemon.aws_leftovers, delete=True):
        if leftover["problem"]:
            say(f"Stays in AWS: {leftover_line(leftover)}")


def _leave_servers(wire: Wire, installed: Installation) -> None:
    """Delete the profiles of lab servers, and wait until the daemon has removed Prism there."""
    leaving = {str(profile["name"]) for profile in installed.servers}
    names = [str(each["name"]) for each in wire.call(Profiles.list)]
    if staying := [name for name in names if name not in leaving]:
        wire.call(Profiles.switch, staying[0])
    for profile in installed.servers:
        wire.call(Profiles.delete, profile["name"])
    until = time.monotonic() + LEAVE_SECONDS
    marks = os.path.join(installed.home, "ssh", SERVER_MARKS)
    while os.path.isdir(marks) and os.listdir(marks):
        if time.monotonic() > until:
            remedies = {f"`ssh {host} rm -rf .prism-server`" for host in installed.hosts}
            say("A lab server does not answer, and keeps Prism's folder. Remove it there:")
            say(" ".join(sorted(remedies)))
            return
        time.sleep(LEAVE_POLL)


def _end_workspace(wire: Wire, workspace: dict[str, Any]) -> None:
    """Stop a workspace; a local one that sleeps resumes first, to end its programs normally."""
    from prism.cli.output.progress import wait_with_progress  # noqa: PLC0415  cold start: not for a dry run

    name, state, local = unique_name(workspace), workspace["state"], is_local(workspace)
    if workspace.get("restarting"):  # it would start again otherwise
        wire.call(Workspaces.stop, name)
    if state in {"starting", "resuming"}:
        state = wait_with_progress(wire, name, "running")["state"]
    if local and state == "hibernating":
        state = wait_with_progress(wire, name, "hibernated")["state"]
    if local and state == "hibernated":
        wire.call(Workspaces.resume, name)
        state = wait_with_progress(wire, name, "running")["state"]
    if state in {"launching", "running"}:
        wire.call(Workspaces.stop, name)
    if state in {"launching", "running", "stopping"}:
        wait_with_progress(wire, name, "stopped")


def _destroy(home: str) -> None:
    """Remove the home; never anything that is mounted in it."""
    real = os.path.realpath(home)
    if mounted := mounts_below(real):
        raise Conflict(
            f"{home} was not removed",
            details=f"something is mounted in it: {', '.join(mounted)}",
            remediation="Unmount it, then `prism uninstall --data delete` again",
        )
    # What shows that this is a home goes last: after an error the same command can go on.
    names = sorted(os.listdir(real), key=lambda name: name in HOME_MARKS)
    _remove(home, [os.path.join(real, name) for name in names])
    os.rmdir(real)
    if os.path.islink(home):
        os.unlink(home)


def _remove(home: str, paths: list[str]) -> None:
    """Remove files and trees, whatever the permissions in them: a sandbox leaves mode 0."""
    from prism.agent.system.safe_paths import remove_tree  # noqa: PLC0415  cold start: needed only here

    for path in paths:
        try:
            remove_tree(path)
        except OSError as error:
            raise Conflict(
                f"{home} was not removed completely",
                details=clean(f"in {path}: {error}"),
                remediation="Remove that file as the user who owns it, then repeat the command",
            ) from error


def mounts_below(folder: str, table: str = MOUNT_TABLE) -> list[str]:
    """The mount points in a folder, including itself; `table` is in the format of Linux."""
    real = os.path.realpath(folder)
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as file:
            paths = [OCTAL.sub(lambda it: chr(int(it[1], 8)), line.split(" ")[4]) for line in file]
    except OSError:  # not Linux
        return []
    return [path for path in paths if path == real or path.startswith(f"{real}/")]


def _size(folder: str) -> int:
    """The size of a folder's files; files that disappear meanwhile do not count."""
    total = 0
    for top, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(top, name)).st_blocks * 512
            except OSError:
                continue
    return total


def how_to_remove_the_program(prefix: str) -> str:
    """The command that removes the program, which depends on how it was installed."""
    parts = prefix.replace(os.sep, "/")
    if "/uv/tools/" in parts:
        return "`uv tool uninstall prism`"
    if "/pipx/" in parts:
        return "`pipx uninstall prism`"
    if glob(f"{glob_escape(prefix)}/lib/python*/site-packages/pip"):
        return f"`{prefix}/bin/python -m pip uninstall prism`, or remove the folder {prefix}"
    uv = f"{prefix}/bin/uv"  # it comes with Prism, and environments that it makes have no pip
    if os.access(uv, os.X_OK):
        return f"`{uv} pip uninstall --python {prefix} prism`, or remove the folder {prefix}"
    return f"Remove the folder {prefix}"


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--data", choices=(KEEP, DELETE), help="what happens to your data (default: you are asked)"
    )
    add_flag(parser, "--dry-run", help="only show what would be done")


VERBS = {"uninstall": (_arguments, _uninstall)}
