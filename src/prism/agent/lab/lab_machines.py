"""The folders of workspaces on a lab server, as the daemon's requests make and change them.

The files are those of local workspaces (`protocol.py`), and so is the supervisor.
"""

import fcntl
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from prism.agent.lab.facts import lingers
from prism.agent.lab.reached_ports import reached_port
from prism.agent.machine.folder import read
from prism.agent.machine.slots import GpusUnknown, NoRoom, choose, gpus, slot_of, totals
from prism.agent.network.ports import HOST
from prism.agent.protocol import (
    ALIVE,
    DISK_FULL_ERRORS,
    IDLE_RULE,
    INTENT,
    OBSERVED,
    SPEC,
    TOKEN_FILE,
    MachineIntent,
    ObservedMachine,
    Room,
    SlotHolder,
    State,
    next_intent,
    poke,
    replace_file,
    supervisor_pid,
)
from prism.agent.system.safe_paths import remove_tree

MACHINE_ID = re.compile(r"ssh-[0-9a-f]{17}")
DRAFT = re.compile(r"\.ssh-[0-9a-f]{17}-[0-9a-f]{8}")  # as `_draft_of` names them
SUPERVISOR = Path(__file__).resolve().parents[1] / "supervisor.py"
START_SECONDS = 30
MOST_REVIVED = 8  # in one survey; the next one continues
DRAFT_SECONDS = 3600
LAUNCH_RECORD = "launched"
SURVEYED = {"report": OBSERVED, "intent": INTENT, "spec": SPEC}
MOST_DOCUMENT = 1 << 20  # bytes
UNREADABLE = (
    *(LookupError, TypeError, ValueError, AttributeError),
    *(RecursionError, OverflowError),
)


class Refused(Exception):
    """The request cannot be carried out, and repeating it does not help."""

    def __init__(self, why: str, *, full: bool = False) -> None:
        super().__init__(why)
        self.full = full


class LabMachines:
    """All workspaces of one login."""

    def __init__(self, root: Path) -> None:
        self.root, self._workspaces = root, root / "workspaces"

    def folder(self, id: str) -> "Path | None":
        """The folder of a machine; None if it has none on this server."""
        path = self._workspaces / id
        is_here = MACHINE_ID.fullmatch(id) and path.is_dir() and not self._is_elsewhere(path)
        return path if is_here else None

    def _is_elsewhere(self, path: Path) -> bool:
        """Whether a machine belongs to another server that has the same home."""
        node = (_document(path / SPEC) or {}).get("node")
        return node is not None and node != os.uname().nodename

    def survey(self, remembered: float) -> "list[dict[str, Any]]":
        """Every machine with its files; starts supervisors that are missing."""
        machines: list[dict[str, Any]] = []
        revivals = iter(range(MOST_REVIVED))
        for name in self._names(remembered):
            path = self._workspaces / name
            with suppress(*UNREADABLE):  # a workspace without a sandbox may write its files
                if self._needs_supervisor(path) and next(revivals, None) is not None:
                    with suppress(OSError):  # shown as one whose supervisor died
                        self._start(path)
            machines.append(machine := _shown(path))
            report = machine["report"]
            if not machine["alive"] and report is not None and report.get("phase") == "gone":
                self._remove_old(path, remembered)
        return machines

    def launch(
        self, id: str, spec: "dict[str, Any]", intent: MachineIntent, rule: Any, uv: str
    ) -> "dict[str, Any]":
        """Make the folder and its supervisor, unless they exist; returns the machine."""
        if not MACHINE_ID.fullmatch(id):
            raise Refused("this is no id of a workspace on a server")
        path = self._workspaces / id
        with self._writing():  # until it is there: nobody else is given the same GPU
            is_new = self._launch(path, {**spec, **self._own_paths(uv)}, intent, rule)
        if self._needs_supervisor(path):
            self._start(path)
        return {"is_new": is_new, "machine": _shown(path)}

    def _launch(
        self, path: Path, spec: "dict[str, Any]", intent: MachineIntent, rule: Any
    ) -> bool:
        if is_new := not path.exists():
            granted = self._choose_gpus(spec) if intent["state"] == "on" else []
            complete = {**spec, "gpus": granted, "node": os.uname().nodename}
            try:
                is_new = self._make(path, {SPEC: complete, INTENT: intent, IDLE_RULE: rule})
            except OSError as error:
                is_full = error.errno in DISK_FULL_ERRORS
                raise Refused(
                    f"no workspace can be made in {path}: {error}", full=is_full
                ) from error
        return is_new

    def request(self, id: str, state: State, uv: str) -> None:
        """Request a state of a machine, and see that a supervisor brings it there."""
        if (path := self.folder(id)) is None:
            return
        with self._writing():
            current = cast("MachineIntent | None", read(path / INTENT) or None)
            report = cast("ObservedMachine | None", read(path / OBSERVED) or None)
            intent = next_intent(state, current, report)
            if state == "on":
                spec = {**read(path / SPEC), **self._own_paths(uv)}
                if intent and slot_of(id, spec, current, report) is None:
                    spec["gpus"] = self._choose_gpus(spec)
                self._write(path / SPEC, spec)
            if intent:
                self._write(path / INTENT, intent)
        if not poke(path) and self._needs_supervisor(path):
            self._start(path)

    def expire(self, id: str, at: "float | None", action: str) -> None:
        """Tell the supervisor when to stop the machine, also without a daemon."""
        with self._writing():
            if (path := self.folder(id)) is None or not (current := read(path / INTENT)):
                return
            intent = {**current, "expires_at": at, "expire_action": action}
            if intent != current and current["state"] != "gone":
                self._write(path / INTENT, intent)
                poke(path)

    def watch(self, id: str, rule: Any) -> None:
        """Write the idle rule, which the supervisor follows also without a daemon."""
        with self._writing():
            if (
                (path := self.folder(id))
                and (path / SPEC).exists()
                and read(path / IDLE_RULE) != rule
            ):
                self._write(path / IDLE_RULE, rule)
                poke(path)

    def update(self, id: str, fields: Mapping[str, Any], launched: Mapping[str, Any]) -> None:
        """Change fields of a spec, and of the record for a daemon that has lost its rows."""
        with self._writing():
            if (path := self.folder(id)) and (known := read(path / SPEC)):
                record = {**known.get(LAUNCH_RECORD, {}), **launched}
                self._write(path / SPEC, {**known, **fields, LAUNCH_RECORD: record})

    def access(self, id: str) -> "dict[str, Any] | None":
        """The report of a machine and the secret of its services; None if it is not on."""
        path = self.folder(id)
        report = (_document(path / OBSERVED) or {}) if path else {}
        if path is None or report.get("phase") != "on" or not supervisor_pid(str(path)):
            return None
        token = ""
        with suppress(FileNotFoundError):
            token = (path / TOKEN_FILE).read_text()
        return {"report": report, "token": token}

    def reach(self, id: str, port: int) -> "dict[str, Any] | None":
        """Where a tunnel reaches a port of a machine that is on; a service by its template's."""
        if (path := self.folder(id)) is None:
            return None
        services, spec = read(path / OBSERVED).get("services", {}), read(path / SPEC)
        for name, service in spec.get("services", {}).items():
            if service.get("port") == port and services.get(name, {}).get("port"):
                port = services[name]["port"]
                break
        if any(service.get("port") == port for service in services.values()):
            return {"host": HOST, "port": port, "listener": f"service {port}"}
        with self._writing():
            return reached_port(path, port)

    def room(self, *, with_gpus: bool) -> Room:
        """What this server has and what is held; asking for GPUs may take a second.

        Without GPUs, or if `nvidia-smi` does not answer, nothing is said about them.
        """
        cpus, memory = totals(os.environ)
        room: Room = {"cpus": cpus, "memory_mb": memory, "holders": self._holders()}
        if with_gpus:
            with suppress(GpusUnknown):
                room["gpus"] = gpus()
        return room

    def _holders(self) -> "list[SlotHolder]":
        holders = []
        for name in self._ids():
            path = self._workspaces / name
            spec, intent, report = (_document(path / file) for file in (SPEC, INTENT, OBSERVED))
            with suppress(*UNREADABLE):
                if holder := slot_of(name, spec, intent, report):
                    holders.append(holder)
        return holders

    def _choose_gpus(self, spec: "dict[str, Any]") -> "list[str]":
        """The GPUs for a machine that starts; under the lock."""
        limits = spec.get("limits", {})
        room = self.room(with_gpus=False)
        try:
            room["gpus"] = gpus() if limits.get("gpus") else []
            return choose(room, limits)
        except GpusUnknown as error:
            raise Refused(str(error)) from error
        except NoRoom as error:
            raise Refused("; ".join(filter(None, (str(error), error.held)))) from error

    def _ids(self) -> "list[str]":
        try:
            names = [name for name in os.listdir(self._workspaces) if MACHINE_ID.fullmatch(name)]
        except FileNotFoundError:
            return []
        return [name for name in names if not self._is_elsewhere(self._workspaces / name)]

    def _names(self, remembered: float) -> "list[str]":
        try:
            names = os.listdir(self._workspaces)
        except FileNotFoundError:
            return []
        for name in names:
            if DRAFT.fullmatch(name):  # the folder may be a link to one with other things
                self._remove_old(self._workspaces / name, max(remembered, DRAFT_SECONDS))
        return sorted(self._ids())

    def _needs_supervisor(self, path: Path) -> bool:
        if supervisor_pid(str(path)):
            return False
        report, intent = read(path / OBSERVED), read(path / INTENT)
        if not report:
            return bool(intent)
        pending = intent and (intent["run"] > report["run"] or intent["state"] == "gone")
        return report["phase"] in ALIVE or (bool(pending) and report["phase"] != "gone")

    def _own_paths(self, uv: str) -> "dict[str, Any]":
        """Where the programs and caches for a machine are on this server."""
        installer = str(self.root / "uv" / uv / "uv")
        python = Path(sys.executable).resolve()
        prefixes = [sys.prefix, str(python.parents[1]), sys.base_prefix]
        return {
            "uv": installer,
            "reachable": [*dict.fromkeys([*prefixes, installer])],
            "python": sys.executable,
            "cache": str(self.root / "cache" / "wheels"),
            "slots": str(self.root / "cache" / "slots"),
        }

    def _make(self, path: Path, files: Mapping[str, Any]) -> bool:
        """Make a machine's folder at once; returns whether no other call was faster."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft_of(path)
        draft.mkdir()
        try:
            for name, content in files.items():
                self._write(draft / name, content)
            draft.rename(path)
        except OSError:
            with suppress(OSError):
                remove_tree(draft)
            if not path.exists():
                raise
            return False
        return True

    def _write(self, path: Path, content: Mapping[str, Any]) -> None:
        replace_file(path, json.dumps(content).encode())

    @contextmanager
    def _writing(self) -> "Iterator[None]":
        """One request at a time changes files; a second daemon may use the same login."""
        self.root.mkdir(parents=True, exist_ok=True)
        with open(self.root / "writing.lock", "a") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            yield

    def _start(self, path: Path) -> None:
        """Start the supervisor, which outlives this session."""
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PRISM_", "SSH_"))
        }
        argv = [sys.executable, "-I", "-S", str(SUPERVISOR), str(path)]
        if lingers():
            argv = ["systemd-run", "--user", "--scope", "--quiet", "--collect", "--", *argv]
        quiet = subprocess.DEVNULL
        done = subprocess.run(
            argv,
            check=False,
            env=environ,
            cwd="/",
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            timeout=START_SECONDS,
        )
        if done.returncode:
            raise OSError(f"the supervisor of {path.name} does not start: {_last_words(path)}")

    def _remove_old(self, path: Path, seconds: float) -> None:
        """Remove a folder that is old enough: of a machine that is gone, or a draft."""
        with suppress(OSError):
            if time.time() - path.stat().st_mtime < seconds:
                return
            if not path.name.startswith("."):
                path = path.rename(_draft_of(path))
            remove_tree(path)


def _draft_of(path: Path) -> Path:
    """Another name for a folder that is not whole; none of a machine."""
    return path.with_name(f".{path.name}-{secrets.token_hex(4)}")


def _shown(path: Path) -> "dict[str, Any]":
    """A machine with its documents, as the daemon reads it."""
    documents = {key: _document(path / file) for key, file in SURVEYED.items()}
    return {"id": path.name, "alive": bool(supervisor_pid(str(path))), **documents}


def _document(path: Path) -> "dict[str, Any] | None":
    """The object in a file; None if it is missing, too long, no object, or cannot be sent on."""
    try:
        if os.stat(path).st_size > MOST_DOCUMENT:
            return None
        document = read(path)
        # One number or character that JSON does not have would spoil the answer about all.
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    except (OSError, RecursionError, ValueError):
        return None
    return document or None


def _last_words(path: Path) -> str:
    try:
        return (path / "supervisor.log").read_text(errors="replace")[-300:].strip()
    except OSError:
        return "it left no message"
