"""A daemon on the double of EC2 that can be killed at any commit and any call to AWS.

The program starts once, with everything imported. Each job, a line of JSON on its standard
input, runs in a fork with a home of its own, and answers with a line of JSON.

A point is each commit, before and after, and each request that botocore sends, while a verb is
requested and carried out. `at` is the number of a point, and `how` says what happens there: the
process is killed, or the request fails in the double and the process is killed at its next
point, or it continues. Time stands still, here and in the double, and passes only between
rounds.
"""

import contextlib
import functools
import json
import os
import random
import re
import signal
import urllib.request
from concurrent.futures import Executor, Future
from datetime import datetime
from pathlib import Path
from typing import Any

import botocore.httpsession
import botocore.loaders
import botocore.session
from botocore.exceptions import ClientError, HTTPClientError

from prism.daemon.app import App
from prism.daemon.wiring import providers
from prism.errors import Problem, Unavailable
from prism.kit.clock import StoppedClock
from prism.kit.db import Database
from prism.kit.tables import metadata
from prism.profiles.model import NewProfile
from prism.providers.aws import build  # noqa: F401  imported once, not once a fork
from prism.providers.aws.compute import readiness, spot_requests
from prism.providers.aws.compute.console import Console
from prism.providers.aws.network import ingress
from prism.providers.aws.ssh.pool import ScriptResult, SshPool
from prism.settings import Settings
from prism.storage.model import SnapshotState, VolumeState
from prism.workspaces.plan import IN_BETWEEN, state_of
from tests.forks import serve, tell
from tests.project.aws.scenarios import SCENARIOS, random_verb, repeat
from tests.rows import every_workspace

REGION = "us-west-2"
STEP, ROUNDS, CALM = 4, 120, 2
SKIPS = 60  # calls before a random fault
# In seconds. A busy computer may need it, and no test here continues without AWS.
IDENTITY_TIMEOUT = providers.PATIENT = 120
SHOWING = re.compile(r" sh -s -- (disk|share|leave) ")
ID = re.compile(r"\b[a-z]+-[0-9a-f]{8,}")
ACTION = re.compile(r"(?:^|&)Action=(\w+)")
RESTING = {VolumeState.AVAILABLE, VolumeState.IN_USE, VolumeState.DELETED, VolumeState.ERROR}
COPIED = {SnapshotState.COMPLETED, SnapshotState.DELETED, SnapshotState.ERROR}


class Points:
    """The points passed since the verb was requested, and what has to happen at which point."""

    def __init__(self):
        self.armed, self.passed, self.dying, self.struck = False, [], False, False
        self.at, self.how, self.double, self.account = -1, "kill", "", ""

    def point(self, name):
        """Announces a point, and dies there if it is chosen; returns whether it is."""
        if not self.armed:
            return False
        chosen = len(self.passed) == self.at
        self.passed.append(name)
        if self.dying or (chosen and self.how == "kill"):
            tell(passed=self.passed)
            os.kill(os.getpid(), signal.SIGKILL)
        return chosen

    def strike(self):
        """Makes the next request fail."""
        do = {"lost": "lost", "twice": "twice", "throttled": "throttle"}[self.how]
        order(self.double, "faults", action="*", do=do, account=self.account)
        self.struck, self.dying = True, self.how != "throttled"


points = Points()
send = botocore.httpsession.URLLib3Session.send


def announced_send(self, request):
    """Announces each request to AWS."""
    name = operation(request)
    if points.point(f"before {name}"):
        points.strike()
    answer = send(self, request)
    points.point(f"after {name}")
    return answer


def announced_run(pool, id, script, stdin=b"", seconds=0.0):
    """Imitates the scripts for disks; the machines of the double have no SSH server."""
    if script != "true" and not SHOWING.search(script):
        raise Unavailable(f"Nobody can enter {id}")
    points.point("before a machine is entered")
    points.point("after a machine was entered")
    return ScriptResult(b"", "", 0)


def operation(request):
    """The operation of a request, as AWS names it."""
    body = request.body or b""
    text = body.decode() if isinstance(body, bytes) else str(body)
    target = request.headers.get("X-Amz-Target", b"")
    target = target.decode() if isinstance(target, bytes) else target
    action = ACTION.search(text)
    path = request.url.partition("://")[2].partition("/")[2].partition("?")[0]
    return action[1] if action else target or f"{request.method} /{ID.sub('*', path)}"


@contextlib.contextmanager
def announced_write(self, original=Database.write):
    """Announces each commit; a nested transaction has no commit of its own."""
    with original(self) as tx:
        yield tx
        points.point("before commit")
    points.point("after commit")


class Inline(Executor):
    """Runs each task at once, so that each run is the same."""

    def submit(self, do, /, *args, **more):
        """Runs the task now."""
        done = Future[Any]()
        done.set_result(do(*args, **more))
        return done


class World:
    """One daemon of a home, with the clock of the double."""

    def __init__(self, job):
        os.environ.update(job["environ"])
        self.double = job["environ"]["AWS_ENDPOINT_URL"]
        self.clock = StoppedClock(self._time())
        settings = Settings(
            home=job["home"],
            database_url=job.get("database", ""),
            user="ada@example.org",
            caller_cidr="192.0.2.7/32",
        )
        Path(job["home"]).mkdir(exist_ok=True)
        # Without its routes, which `build` adds: they take a second, and no test needs them.
        self.wiring = self.daemon = App(settings, None, self.clock, lambda: None)
        metadata.create_all(self.daemon.db.writer)
        self.wiring.profiles.first_start({})
        if not any(profile.name == "lab" for profile in self.wiring.profiles.every()):
            self.wiring.profiles.create(NewProfile(name="lab", provider="aws", region=REGION))
            self.wiring.profiles.switch("lab")

    def wake(self):
        """Connects to AWS; takes over claims if the database is not shared."""
        self.wiring.aws.look(IDENTITY_TIMEOUT)
        joined = [
            loop for location in self.wiring.aws.connected for loop in self.wiring.join(location)
        ]
        if not self.daemon.db.shared:
            for loop in (*self.wiring.loops, *joined):
                loop.inherit()

    def settle(self):
        """Lets time pass until nothing changes any more."""
        calm = 0
        for _ in range(ROUNDS):
            self.pass_time(STEP)
            self.daemon.settle()
            calm = calm + 1 if self.rests() else 0
            if calm == CALM:
                return
        raise AssertionError(f"it never rests: {self.state()}")

    def pass_time(self, seconds):
        """Advances the clock of the double and of this daemon."""
        self.clock.time = self._time(seconds)

    def rests(self):
        """Whether everything is in a lasting state."""
        listed = self.wiring.storage.every()
        volumes: list[Any] = [*listed.ebs_volumes, *listed.efs_volumes]
        states = {state_of(workspace) for workspace in every_workspace(self.wiring.db)}
        return (
            not states & IN_BETWEEN
            and all(volume.state in RESTING for volume in volumes)
            and all(snapshot.state in COPIED for snapshot in self.wiring.storage.snapshots())
        )

    def state(self):
        """The state that the daemon reports."""
        listed = self.wiring.storage.every()
        volumes = [
            *((volume.name, volume.volume_id, volume.state) for volume in listed.ebs_volumes),
            *((volume.name, volume.filesystem_id, volume.state) for volume in listed.efs_volumes),
        ]
        orphans = self.wiring.recovery.orphans().storage
        return {
            "workspaces": [
                (row.name, row.machine_id, state_of(row), row.instance_type, row.id)
                for row in every_workspace(self.wiring.db)
            ],
            "volumes": [volume for volume in volumes if volume[2] is not VolumeState.DELETED],
            "surplus": [orphan.id for orphan in orphans if orphan.removed_by],
            "copies": [
                (snapshot.name, snapshot.snapshot_id, snapshot.state)
                for snapshot in self.wiring.storage.snapshots()
                if snapshot.state is not SnapshotState.DELETED
            ],
        }

    def _time(self, advance=0):
        return datetime.fromisoformat(
            order(self.double, "clock", stop=True, advance=advance)["now"]
        )


def live(job):
    """Prepares, then requests the verb and carries it out with the points armed."""
    world, scenario = World(job), SCENARIOS[job["scenario"]]
    for step in scenario.before:
        step(world.wiring)
        world.settle()
    world.pass_time(scenario.later.total_seconds())
    points.double, points.account = world.double, job["environ"]["AWS_ACCESS_KEY_ID"]
    points.at, points.how, points.armed = job.get("at", -1), job.get("how", "kill"), True
    scenario.ask(world.wiring)
    world.settle()
    points.armed = False
    tell(passed=points.passed, struck=points.struck, **report(world))


def come_back(job):
    """Starts the next daemon of that home, repeats the verb and reports."""
    world, scenario = World(job), SCENARIOS[job["scenario"]]
    world.wake()
    repeat(scenario, world.wiring)
    world.settle()
    tell(**report(world))


def by_chance(job):
    """Runs some steps of a random schedule, with faults and perhaps a kill."""
    rng = random.Random(f"{job['seed']}:{job['part']}")
    worlds = [World({**job, "home": home}) for home in job["homes"]]
    for world in worlds:
        world.wake()
    first, account = worlds[0], job["environ"]["AWS_ACCESS_KEY_ID"]
    if job["part"] < job["deaths"]:
        points.armed, points.at = True, rng.randrange(200)
    for _ in range(3):
        do = rng.choice(["lost", "late", "twice", "drop", "throttle", "error", "stale"])
        order(
            first.double, "faults", action="*", do=do, skip=rng.randrange(SKIPS), account=account
        )
    progress = Path(job["progress"])
    for step in range(int(progress.read_text() or 0), job["steps"]):
        progress.write_text(str(step + 1))
        with contextlib.suppress(Problem):
            random_verb(rng, rng.choice(worlds).wiring)
        for _ in range(rng.randrange(4)):
            for world in worlds:
                world.pass_time(rng.randrange(1, 12))
                world.daemon.settle(3)
    points.armed = False
    tell(done=True)


def rest(job):
    """Starts daemons after `by_chance`, settles and reports."""
    worlds = [World({**job, "home": home}) for home in job["homes"]]
    for world in worlds:
        world.wake()
    for world in worlds[1:]:
        world.settle()
    worlds[0].settle()
    spend_faults()
    tell(**report(worlds[0]))


def spend_faults():
    """Uses up the remaining faults, so that none affects the report."""
    ec2 = botocore.session.get_session().create_client("ec2", region_name=REGION)
    for _ in range(SKIPS + 20):
        with contextlib.suppress(ClientError, HTTPClientError):
            ec2.describe_key_pairs()


def report(world):
    """What the daemon and AWS report, once AWS lists the last changes."""
    world.pass_time(STEP)
    session = botocore.session.get_session()
    ec2 = session.create_client("ec2", region_name=REGION)
    efs = session.create_client("efs", region_name=REGION)
    reservations = ec2.describe_instances()["Reservations"]
    groups = ec2.describe_security_groups()["SecurityGroups"]
    truth = {
        "machines": [
            (vm["InstanceId"], vm["State"]["Name"], vm["InstanceType"], tags(vm))
            for reservation in reservations
            for vm in reservation["Instances"]
        ],
        "volumes": [(disk["VolumeId"], tags(disk)) for disk in ec2.describe_volumes()["Volumes"]],
        "copies": [
            (snapshot["SnapshotId"], tags(snapshot))
            for snapshot in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        ],
        "files": [
            (share["FileSystemId"], tags(share))
            for share in efs.describe_file_systems()["FileSystems"]
        ],
        "groups": [group["GroupName"] for group in groups if group["GroupName"] != "default"],
        "keys": [key["KeyName"] for key in ec2.describe_key_pairs()["KeyPairs"]],
    }
    return {"said": world.state(), "there": truth}


def tags(resource):
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags", ())}


def order(double, path, **fields):
    """Sends a command to the double."""
    body = json.dumps(fields).encode()
    request = urllib.request.Request(f"{double}/_double/{path}", body, method="POST")
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


JOBS = {"live": live, "come back": come_back, "by chance": by_chance, "rest": rest}


if __name__ == "__main__":
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    for service in ("ec2", "efs", "iam", "pricing", "ssm", "sts"):  # read once, not in each fork
        botocore.session.get_session().create_client(
            service, region_name=REGION, aws_access_key_id="1", aws_secret_access_key="1"
        )
    botocore.httpsession.URLLib3Session.send = announced_send
    Database.write = announced_write  # type: ignore[method-assign]
    for behind in (readiness, spot_requests, ingress):
        vars(behind)["ThreadPoolExecutor"] = lambda *_: Inline()
    SshPool.run = announced_run  # type: ignore[method-assign]
    read = Console.read
    # Its cache counts real seconds.
    Console.read = lambda self, id, fresh=0: read(self, id, 0)  # type: ignore[method-assign]
    serve(JOBS)
