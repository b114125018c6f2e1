"""Records every acknowledged write, the hash of every volume, and every event.

A request is acknowledged, refused, or unanswered. An unanswered one is sent again with the same
key until it is answered. At the end, the state must be exactly what the acknowledged requests
lead to.
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

ANSWER = 3.0  # seconds that a client waits for an answer
PATIENCE = 420  # seconds: a row that failed often is retried after 5 minutes, plus a lease of 1
OVER = {"terminated", "failed"}
YES, NO, UNANSWERED = "acknowledged", "refused", "unanswered"


@dataclass
class Request:
    """A request; `then` records the expected state once the request is acknowledged."""

    method: str
    path: str
    body: dict[str, Any] | None
    then: object
    key: str = field(default_factory=lambda: secrets.token_hex(8))
    repeated: bool = False
    answered: bool | None = None


@dataclass
class Volume:
    """The expected state of a volume."""

    id: str | None  # none until AWS has created it
    attached: str | None = None
    hash: str | None = None


class Checker:
    """The expected state of a site, which it compares with the real one."""

    def __init__(self, site):
        self.site = site
        self.projects, self.workspaces, self.volumes, self.snapshots = set(), {}, {}, {}
        self.ids = {}  # of workspaces, as they were answered
        self.events, self.counts = {}, {YES: 0, NO: 0, UNANSWERED: 0, "checks": 0}
        self.unanswered = ""  # why the last request was not answered

    # ---------------------------------------------------------------- requests
    def send(self, request):
        """Send a request once; return whether it was answered."""
        outcome, answer = self._sent(request, self.site)
        self.counts[outcome] += 1
        if outcome == YES:
            request.then(answer)
        request.repeated = True
        return outcome != UNANSWERED

    def send_until_answered(self, request):
        """Send a request until it is answered."""
        try:
            eventually(lambda: self.send(request), BUSY)
        except AssertionError as late:
            raise AssertionError(f"{request} is not answered: {self.unanswered!r}") from late

    def sent_to(self, other, request):
        """Send a request to the daemon of another home; return whether it was answered."""
        return self._sent(request, other)[0] != UNANSWERED

    def _sent(self, request, site):
        wire = Client(home=site.home.folder, timeout=ANSWER)._wire
        content = None if request.body is None else json.dumps(request.body).encode()
        headers = {"Idempotency-Key": request.key} if request.method == "POST" else None
        try:
            return YES, wire.send(request.method, request.path, content, headers=headers).json()
        except (DaemonUnreachable, Unavailable) as problem:
            self.unanswered = f"{problem} {problem.details}"
            return UNANSWERED, None
        except Problem as no:
            assert no.code != "INTERNAL_ERROR", f"{request}: {no.message} {no.details}"
            gone = request.method == "DELETE" and no.code.endswith("_NOT_FOUND")
            return (YES if gone and request.repeated else NO), None

    # ---------------------------------------------------------------- expected state
    def launched(self, name):
        """A workspace whose launch was acknowledged."""

        def then(answer):
            self.workspaces[name], self.ids[name] = "running", answer["instance_id"]

        return then

    def is_now(self, name, state):
        """The requested state of a workspace."""

        def then(_):
            self.workspaces[name] = state
            if state == "terminated":
                for volume in self.volumes.values():
                    volume.attached = None if volume.attached == name else volume.attached

        return then

    def made_volume(self, name):
        """A volume whose creation was acknowledged."""

        def then(answer):
            self.volumes[name] = Volume(answer.get("volume_id"))

        return then

    def fill(self):
        """Write files on every existing volume that is still empty."""
        for name, volume in self.volumes.items():
            data = self.site.data(volume.id)
            if volume.hash is not None or data is None or not data.is_dir():
                continue
            chance = random.Random(name)
            for number in range(5):
                (data / f"file{number}").write_bytes(chance.randbytes(chance.randrange(60_000)))
            volume.hash = digest(data)

    def attached(self, name, to):
        """A volume that is attached to workspace `to`, or to none."""

        def then(_):
            self.volumes[name].attached = to

        return then

    def snapshotted(self, name, volume):
        """A snapshot of the present content of a volume."""

        def then(_):
            self.snapshots[name] = self.volumes[volume].hash

        return then

    # ---------------------------------------------------------------- comparison
    def assert_nothing_lost(self):
        """Assert what holds at every moment: no event or content is lost or changed."""
        now = self.site.database.events()
        lost = {id: event for id, event in self.events.items() if now.get(id) != event}
        assert not lost, f"events are lost or have changed: {lost}"
        newest = max(self.events, default=0)
        early = [id for id in now.keys() - self.events.keys() if id <= newest]
        assert not early, f"events have numbers below those of earlier events: {early}"
        self.events = now
        for name, volume in self.volumes.items():
            if volume.hash is not None:
                assert digest(self.site.data(volume.id)) == volume.hash, (
                    f"the content of {name} has changed"
                )
        self.counts["checks"] += 1

    def wait_until_settled(self):
        """Wait until the real state equals the expected one."""

        def so():
            self.fill()
            return not self.differences()

        with contextlib.suppress(AssertionError):  # differences are reported below
            eventually(so, PATIENCE, (DaemonUnreachable, Unavailable))
        if differences := self.differences():
            raise AssertionError("\n".join(differences))
        self.assert_nothing_lost()

    def differences(self):
        """The differences between the real state and the expected one, as texts."""
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
            f"workspace {name} was not requested" for name in listed.keys() - expected.keys()
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
        return errors + [f"{id} exists {many} times" for id, many in machines.items() if many > 1]

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
                    )  # AWS may create an unattached volume again in another zone
                states = {"in-use"} if volume.attached else {"available"}
                if volume.attached in waiting:
                    states |= {"attaching"}  # the machine is created at the first start
                has_id = listed.volume_id == (volume.id or listed.volume_id)
                if not has_id or listed.state not in states:
                    errors.append(f"{name} is {listed.volume_id} {listed.state}, not {volume}")
        return errors + [
            f"snapshot {name} is {copies[name].state}"
            for name in self.snapshots.keys() & copies.keys()
            if copies[name].state != "completed"
        ]


def was_never_made(workspace):
    """Whether it was stopped before its launch began; then its start creates the machine."""
    return workspace.state == "stopped" and workspace.launch_progress == 0
