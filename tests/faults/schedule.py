"""A random schedule of requests and faults, with weights; a seed makes it repeatable.

A step causes a fault, sends one to three unrelated requests meanwhile, ends the fault, and
repeats the requests that were not answered.
"""

import contextlib
import random
import signal
from concurrent.futures import ThreadPoolExecutor

from tests.faults.checker import Request
from tests.faults.site import BUSY
from tests.waiting import eventually

SHELL = "Plain Shell"
API = ""
VERBS = {
    "launch": 5, "stop": 2, "start": 2, "hibernate": 2, "resume": 2, "terminate": 1,
    "create_volume": 3, "attach": 3, "detach": 2, "delete_volume": 1, "snapshot": 2,
    "delete_snapshot": 1, "project": 2,
}  # fmt: skip
DISTURBANCES = {
    "nothing": 2, "killed": 4, "ended": 2, "stopped": 2, "torn": 2, "locked": 2, "full": 2,
    "emptied": 1, "away": 1, "restarted": 1, "neighbour": 1, "cloud": 4,
}  # fmt: skip
CLOUD_FAULTS = ("error", "throttle", "drop", "lost", "late", "twice", "stale")
TORN = (b"", b"{", b"\x00" * 64, b'{"key": 7}')


class Schedule:
    """A random schedule for one site and its checker."""

    def __init__(self, site, checker, seed, neighbour=None):
        self.site, self.checker, self.chance = site, checker, random.Random(seed)
        self.neighbour, self.number, self.done = neighbour, 0, []
        possible = {"nothing", "killed", "ended", "stopped", "torn"}
        possible |= {*site.database.disturbances(), *(["cloud"] if site.kind == "AWS" else [])}
        possible |= {"neighbour"} if neighbour else set()
        self.disturbances = {name: n for name, n in DISTURBANCES.items() if name in possible}

    def run(self, steps, first=()):
        """Run `steps` steps; the faults in `first` come first."""
        names, weights = zip(*self.disturbances.items(), strict=True)
        due = [name for name in first if name in self.disturbances]
        for step in range(steps):
            name = due[step] if step < len(due) else self.chance.choices(names, weights)[0]
            self.done.append(name)
            requests = self.requests()
            getattr(self, f"_{name}")(requests)
            for request in requests:
                if request.answered is False:
                    self.checker.send_until_answered(request)
            self.checker.fill()
            self.checker.assert_nothing_lost()

    # ---------------------------------------------------------------- requests
    def requests(self):
        """One to three requests about different objects."""
        requests: list[Request] = []
        about: set[str] = set()
        for _ in range(self.chance.randrange(1, 4)):
            verb = self.chance.choices([*VERBS], [*VERBS.values()])[0]
            candidate = getattr(self, f"_ask_{verb}")()
            if candidate is not None and not about & candidate[0]:
                about |= candidate[0]
                requests.append(candidate[1])
        return requests or [self._ask_project()[1]]

    def _named(self, letter):
        self.number += 1
        return f"{letter}{self.number}"

    def _workspace(self, *states):
        fit = [name for name, workspace in self.checker.workspaces.items() if workspace in states]
        return self.chance.choice(fit) if fit else None

    def _volume(self, *, attached):
        fit = [name for name, v in self.checker.volumes.items() if bool(v.attached) is attached]
        return self.chance.choice(fit) if fit else None

    def _verb(self, states, verb, then, **body):
        if (name := self._workspace(*states)) is None:
            return None
        if verb == "hibernate" and not self.site.hibernates:
            return None
        path, note = f"/instances/{name}/{verb}", self.checker.is_now(name, then)
        about = {
            name,
            *(volume for volume, v in self.checker.volumes.items() if v.attached == name),
        }
        return about, Request("POST", path, body or None, note)

    def _ask_launch(self):
        name = self._named("w")
        body = {"name": name, "template": SHELL, "size": "S"}
        return {name}, Request("POST", "/instances/launch", body, self.checker.launched(name))

    def _ask_stop(self):
        return self._verb(["running"], "stop", "stopped")

    def _ask_start(self):
        return self._verb(["stopped"], "start", "running")

    def _ask_hibernate(self):
        return self._verb(["running"], "hibernate", "hibernated")

    def _ask_resume(self):
        return self._verb(["hibernated"], "resume", "running")

    def _ask_terminate(self):
        return self._verb(
            ["running", "stopped", "hibernated"], "terminate", "terminated", confirm="DELETE"
        )

    def _ask_project(self):
        name = self._named("p")
        then = lambda _: self.checker.projects.add(name)  # noqa: E731
        return {name}, Request("POST", "/projects", {"name": name}, then)

    def _ask_create_volume(self):
        name = self._named("v")
        body = {"type": "ebs", "name": name, "size_gb": 1}
        return {name}, Request(
            "POST", "/storage/volumes/create", body, self.checker.made_volume(name)
        )

    def _ask_attach(self):
        name, to = self._volume(attached=False), self._workspace("running", "stopped")
        if name is None or to is None:
            return None
        path = f"/storage/volumes/{name}/attach"
        return {name, to}, Request("POST", path, {"instance": to}, self.checker.attached(name, to))

    def _ask_detach(self):
        if (name := self._volume(attached=True)) is None:
            return None
        path = f"/storage/volumes/{name}/detach"
        to = self.checker.volumes[name].attached
        if not self.site.detaches_at_once and self.checker.workspaces[to] != "stopped":
            return None  # only root can take a volume out of a running sandbox
        return {name, to}, Request("POST", path, None, self.checker.attached(name, None))

    def _ask_delete_volume(self):
        if (name := self._volume(attached=False)) is None:
            return None
        then = lambda _: self.checker.volumes.pop(name)  # noqa: E731
        return {name}, Request("DELETE", f"/storage/volumes/{name}", None, then)

    def _ask_snapshot(self):
        if (volume := self._volume(attached=False)) is None:
            return None
        name = self._named("s")
        body, then = {"name": name, "volume": volume}, self.checker.snapshotted(name, volume)
        return {name, volume}, Request("POST", "/snapshots", body, then)

    def _ask_delete_snapshot(self):
        if not self.checker.snapshots:
            return None
        name = self.chance.choice(sorted(self.checker.snapshots))
        then = lambda _: self.checker.snapshots.pop(name)  # noqa: E731
        return {name}, Request("DELETE", f"/snapshots/{name}", None, then)

    # ---------------------------------------------------------------- faults
    def _send(self, requests):
        for request in requests:
            request.answered = self.checker.send(request)

    @contextlib.contextmanager
    def _sending(self, requests):
        """Send the requests while the block runs."""
        with ThreadPoolExecutor(len(requests)) as people:
            sent = [people.submit(self.checker.send, request) for request in requests]
            yield
            for request, future in zip(requests, sent, strict=True):
                request.answered = future.result()

    def _nothing(self, requests):
        self._send(requests)

    def _killed(self, requests):
        with self._sending(requests):
            self.site.end(signal.SIGKILL)
        self.site.start()

    def _ended(self, requests):
        with self._sending(requests):
            self.site.end()
        self.site.start()

    def _stopped(self, requests):
        self.site.process.send_signal(signal.SIGSTOP)
        with self._sending(requests):
            pass  # no request is answered
        self.site.process.send_signal(signal.SIGCONT)

    def _torn(self, requests):
        self._send(requests)
        self.site.end(signal.SIGKILL)
        for path in self.site.torn_files():
            if path.exists() and self.chance.random() < 0.5:
                path.write_bytes(self.chance.choice(TORN))
        self.site.start()

    def _disturbed(self, requests, name):
        with getattr(self.site.database, name)():
            self._send(requests)

    def _locked(self, requests):
        self._disturbed(requests, "locked")
        assert not any(request.answered for request in requests), "answered during the lock"

    def _full(self, requests):
        if self.site.shares_disk:  # what is being copied when its disk is full has failed
            self.checker.wait_until_settled()
        self._disturbed(requests, "full")

    def _emptied(self, requests):
        self._disturbed(requests, "emptied")

    def _away(self, requests):
        self._disturbed(requests, "away")

    def _restarted(self, requests):
        with self._sending(requests), self.site.database.restarted():
            pass

    def _neighbour(self, requests):
        """Another daemon on the same database is stopped during a request."""
        request = Request(
            "POST", "/projects", {"name": (name := self._named("p"))}, lambda _: None
        )
        process = self.neighbour.process
        with ThreadPoolExecutor(1) as person:
            sent = person.submit(self.checker.sent_to, self.neighbour, request)
            process.send_signal(signal.SIGSTOP)
            self._send(requests)
            process.send_signal(signal.SIGCONT)
            sent.result()
        eventually(lambda: self.checker.sent_to(self.neighbour, request), BUSY)
        self.checker.projects.add(name)

    def _cloud(self, requests):
        for _ in range(3):
            do = self.chance.choice(CLOUD_FAULTS)
            self.site.fault(action="*", do=do, skip=self.chance.randrange(6))
        self._send(requests)
