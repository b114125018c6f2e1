"""Knows every acknowledged write, every file's hash, every machine and every event's number.

A request is acknowledged, refused, or unanswered. What is unanswered is asked again with the
same key, until it is one of the other two. In the end all that was acknowledged must be so, and
nothing else.
"""

import contextlib
import json
import random
import secrets
from dataclasses import dataclass, field
from typing import Any

from prism.client import Client
from prism.client.errors import DaemonUnreachable
from prism.errors import Problem, Unavailable
from tests.faults.site import BUSY, digest
from tests.waiting import eventually

ANSWER = 3.0  # seconds that somebody waits for an answer
PATIENCE = 420  # seconds: what has failed often waits for five minutes, after a lease of one
OVER = {"terminated", "failed"}
YES, NO, UNANSWERED = "acknowledged", "refused", "unanswered"


@dataclass
class Request:
    """Something asked of a daemon; `then` notes what must be so once it is acknowledged."""

    method: str
    path: str
    body: dict[str, Any] | None
    then: object
    key: str = field(default_factory=lambda: secrets.token_hex(8))
    repeated: bool = False
    answered: bool | None = None


@dataclass
class Volume:
    """What must be so of one."""

    id: str | None  # none until AWS has made it
    attached: str | None = None
    hash: str | None = None


class Checker:
    """What must be so."""

    def __init__(self, site):
        self.site = site
        self.projects, self.workspaces, self.volumes, self.snapshots = set(), {}, {}, {}
        self.ids = {}  # of workspaces, as they were answered
        self.events, self.counts = {}, {YES: 0, NO: 0, UNANSWERED: 0, "checks": 0}

    # ---------------------------------------------------------------- asking
    def send(self, request):
        """Ask once; whether an answer came."""
        outcome, answer = self._sent(request, self.site)
        self.counts[outcome] += 1
        if outcome == YES:
            request.then(answer)
        request.repeated = True
        return outcome != UNANSWERED

    def insist(self, request):
        """Ask until it is answered."""
        eventually(lambda: self.send(request), BUSY)

    def sent_to(self, other, request):
        """Whether a daemon of another home has answered."""
        return self._sent(request, other)[0] != UNANSWERED

    def _sent(self, request, site):
        wire = Client(home=site.home.folder, timeout=ANSWER)._wire
        content = None if request.body is None else json.dumps(request.body).encode()
        headers = {"Idempotency-Key": request.key} if request.method == "POST" else None
        try:
            return YES, wire.send(request.method, request.path, content, headers=headers).json()
        except (DaemonUnreachable, Unavailable):
            return UNANSWERED, None
        except Problem as no:
            assert no.code != "INTERNAL_ERROR", f"{request}: {no.message} {no.details}"
            gone = request.method == "DELETE" and no.code.endswith("_NOT_FOUND")
            return (YES if gone and request.repeated else NO), None

    # ---------------------------------------------------------------- what must be so
    def launched(self, name):
        """A workspace that was granted."""

        def then(answer):
            self.workspaces[name], self.ids[name] = "running", answer["instance_id"]

        return then

    def is_now(self, name, state):
        """What a workspace was asked to be."""

        def then(_):
            self.workspaces[name] = state
            if state == "terminated":
                for volume in self.volumes.values():
                    volume.attached = None if volume.attached == name else volume.attached

        return then

    def made_volume(self, name):
        """A volume that is there from now on, with something on it where that can be."""

        def then(answer):
            self.volumes[name] = Volume(answer.get("volume_id"))

        return then

    def fill(self):
        """Write something on every volume that holds nothing yet, once it is there."""
        for name, volume in self.volumes.items():
            data = self.site.data(volume.id)
            if volume.hash is not None or data is None or not data.is_dir():
                continue
            chance = random.Random(name)
            for number in range(5):
                (data / f"file{number}").write_bytes(chance.randbytes(chance.randrange(60_000)))
            volume.hash = digest(data)

    def attached(self, name, to):
        """Which workspace has a volume."""

        def then(_):
            self.volumes[name].attached = to

        return then

    def taken(self, name, volume):
        """A snapshot, of what its volume held."""

        def then(_):
            self.snapshots[name] = self.volumes[volume].hash

        return then

    # ---------------------------------------------------------------- looking
    def look(self):
        """What must be so at every moment, whatever is going on."""
        now = self.site.database.events()
        lost = {id: event for id, event in self.events.items() if now.get(id) != event}
        assert not lost, f"events that were there are not, or are others: {lost}"
        newest = max(self.events, default=0)
        early = [id for id in now.keys() - self.events.keys() if id <= newest]
        assert not early, f"numbers of events that were passed over were given later: {early}"
        self.events = now
        for name, volume in self.volumes.items():
            if volume.hash is not None:
                assert digest(self.site.data(volume.id)) == volume.hash, (
                    f"{name} holds something else"
                )
        self.counts["checks"] += 1

    def settled(self):
        """All that was acknowledged comes about, and nothing else is there."""

        def so():
            self.fill()
            return not self.wrong()

        with contextlib.suppress(AssertionError):  # what is wrong is said below
            eventually(so, PATIENCE, (DaemonUnreachable, Unavailable))
        if wrong := self.wrong():
            raise AssertionError("\n".join(wrong))
        self.look()

    def wrong(self):
        """What is not as it must be, in words."""
        client = self.site.home.client
        listed = {
            workspace.name: workspace
            for workspace in client.workspaces.list()
            if workspace.state not in OVER
        }
        expected = {
            name: workspace
            for name, workspace in self.workspaces.items()
            if workspace != "terminated"
        }
        errors = [
            f"workspace {name} is {getattr(listed.get(name), 'state', 'nothing')}, not {state}"
            for name, state in expected.items()
            if getattr(listed.get(name), "state", None) != state
        ]
        errors += [
            f"workspace {name} was not asked for" for name in listed.keys() - expected.keys()
        ]
        waiting = {name for name, entry in listed.items() if was_never_made(entry)}
        return [*errors, *self._wrong_machines(listed), *self._wrong_storage(client, waiting)]

    def _wrong_machines(self, listed):
        machines = self.site.machines()
        known = {entry.id: name for name, entry in listed.items() if not was_never_made(entry)}
        every = {entry.id for entry in listed.values()}
        errors = [f"machine {id} has no workspace" for id in machines.keys() - every]
        errors += [f"{known[id]} has no machine" for id in known.keys() - machines.keys()]
        for name, id in self.ids.items():
            if id and name in listed and listed[name].id != id:
                errors.append(f"{name} was answered as {id} and is {listed[name].id}")
        return errors + [
            f"{id} is there {many} times" for id, many in machines.items() if many > 1
        ]

    def _wrong_storage(self, client, waiting):
        volumes = {volume.name: volume for volume in client.volumes.list().ebs_volumes}
        copies = {snapshot.name: snapshot for snapshot in client.snapshots.list()}
        projects = {project.name for project in client.projects.list()}
        errors = [f"project {project} is lost" for project in self.projects - projects]
        errors += [f"volume {key} is lost" for key in self.volumes.keys() - volumes.keys()]
        errors += [f"volume {key} is not gone" for key in volumes.keys() - self.volumes.keys()]
        errors += [f"snapshot {key} is lost" for key in self.snapshots.keys() - copies.keys()]
        for name, volume in self.volumes.items():
            if (listed := volumes.get(name)) is not None:
                if volume.id is None and (self.site.kind != "AWS" or listed.state == "in-use"):
                    volume.id = (
                        listed.volume_id
                    )  # one that no machine has had may be made elsewhere
                state = "in-use" if volume.attached else "available"
                if volume.attached in waiting:
                    state = "attaching"  # its machine is made when it is started
                if listed.volume_id != (volume.id or listed.volume_id) or listed.state != state:
                    errors.append(f"{name} is {listed.volume_id} {listed.state}, not {volume}")
        return errors + [
            f"snapshot {name} is {copies[name].state}"
            for name in self.snapshots.keys() & copies.keys()
            if copies[name].state != "completed"
        ]


def was_never_made(workspace):
    """Whether it was stopped before its launch had begun: its start makes its machine."""
    return workspace.state == "stopped" and workspace.launch_progress == 0
