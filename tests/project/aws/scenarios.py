"""Verbs of a workspace on AWS, with the steps before and the state after each."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from prism.daemon.wiring.core import Wiring
from prism.errors import Problem
from prism.idle.model import ConfigureIdleRequest
from prism.projects.model import NewProject
from prism.storage.model import NewSnapshot, NewVolume, RestoreRequest, VolumeKind
from prism.workspaces.model import (
    ExtendRequest,
    LaunchRequest,
    LifecycleVerb,
    MoveRequest,
    ResizeRequest,
    RootDisk,
    TerminateRequest,
)

NAME, DATA, SHARED, COPY, AGAIN, THESIS = "mine", "data", "shared", "copy", "again", "Thesis"
RUNNING, STOPPED, ASLEEP, ENDED = "running", "stopped", "hibernated", "terminated"


def launch(wiring, **more):
    """Ubuntu, which EC2 can hibernate, with a disk for the memory."""
    disk = RootDisk(ebs_volume_size=30)
    order = LaunchRequest(name=NAME, template="Plain Shell", size="S", storage=disk, **more)
    wiring.workspaces.launch(order)


def asks(verb):
    return lambda wiring: wiring.workspaces.ask(NAME, verb)


def launch_for_an_hour(wiring):
    launch(wiring, ttl_hours=1)


def launch_with_a_volume(wiring):
    launch(wiring, volumes=(DATA,))


def launch_spot(wiring):
    launch(wiring, spot=True)


def launch_without_sleep(wiring):
    """EC2 changes the type only of machines that cannot hibernate."""
    launch(wiring, hibernation=False)


def make_project(wiring):
    wiring.projects.create(NewProject(name=THESIS))


def move(wiring):
    wiring.workspaces.move(NAME, MoveRequest(project=THESIS))


def watch(wiring):
    wiring.idleness.configure(NAME, ConfigureIdleRequest(profile="batch"))


def terminate(wiring, backup=False):
    wiring.workspaces.terminate(NAME, TerminateRequest(confirm="DELETE", backup_ebs=backup))


def terminate_with_a_backup(wiring):
    terminate(wiring, backup=True)


def extend(wiring):
    wiring.workspaces.extend(NAME, ExtendRequest(hours=4))


def resize(wiring):
    wiring.workspaces.resize(NAME, ResizeRequest(instance_type="t3.large"))


def make_volume(wiring):
    wiring.storage.create(NewVolume(type=VolumeKind.EBS, name=DATA, size_gb=8))


def make_shared(wiring):
    wiring.storage.create(NewVolume(type=VolumeKind.EFS, name=SHARED))


def attach(wiring):
    wiring.storage.attach(DATA, NAME)


def attach_shared(wiring):
    wiring.storage.attach(SHARED, NAME)


def detach(wiring):
    wiring.storage.detach(DATA)


def detach_shared(wiring):
    wiring.storage.detach(SHARED)


def delete_volume(wiring):
    wiring.storage.delete(DATA)


def delete_shared(wiring):
    wiring.storage.delete(SHARED)


def copy(wiring):
    wiring.storage.take(NewSnapshot(name=COPY, volume=DATA))


def restore(wiring):
    wiring.storage.restore(COPY, RestoreRequest(name=AGAIN))


def delete_copy(wiring):
    wiring.storage.delete_snapshot(COPY)


def nothing(wiring):
    """Makes no request; time alone causes the change."""


@dataclass(frozen=True)
class Scenario:
    """A verb, the steps and the time before it, and what must exist after it."""

    ask: Callable[[Wiring], object]
    before: tuple[Callable[[Wiring], object], ...] = ()
    state: str | None = RUNNING
    volumes: int = 0
    files: int = 0
    copies: int = 0
    later: timedelta = timedelta(0)
    tags: dict[str, str] = field(default_factory=dict)


BY_NAME = (LifecycleVerb.STOP, LifecycleVerb.START, LifecycleVerb.HIBERNATE, LifecycleVerb.RESUME)
UP = (launch,)
DOWN = (launch, asks(LifecycleVerb.STOP))
SLEEPING = (launch, asks(LifecycleVerb.HIBERNATE))
SCENARIOS = {
    "launch": Scenario(launch),
    "launch spot": Scenario(launch_spot),
    "terminate": Scenario(terminate, UP, ENDED),
    "terminate spot": Scenario(terminate, (launch_spot,), ENDED),
    "stop": Scenario(asks(LifecycleVerb.STOP), UP, STOPPED),
    "start": Scenario(asks(LifecycleVerb.START), DOWN),
    "hibernate": Scenario(asks(LifecycleVerb.HIBERNATE), UP, ASLEEP),
    "resume": Scenario(asks(LifecycleVerb.RESUME), SLEEPING),
    "extend": Scenario(extend, UP),
    "move": Scenario(move, (make_project, launch), tags={"prism:project": THESIS}),
    "configure idleness": Scenario(watch, UP, tags={"prism:idle-profile": "batch"}),
    "resize": Scenario(resize, (launch_without_sleep, asks(LifecycleVerb.STOP)), STOPPED),
    "expire": Scenario(nothing, (launch_for_an_hour,), ASLEEP, later=timedelta(hours=1)),
    "terminate with a backup": Scenario(terminate_with_a_backup, UP, ENDED, copies=1),
    "launch with a volume": Scenario(launch_with_a_volume, (make_volume,), volumes=1),
    "make a volume": Scenario(make_volume, (), None, volumes=1),
    "attach": Scenario(attach, (make_volume, launch), volumes=1),
    "detach": Scenario(detach, (make_volume, launch, attach), volumes=1),
    "delete a volume": Scenario(delete_volume, (make_volume,), None),
    "make a shared volume": Scenario(make_shared, (), None, files=1),
    "attach a shared volume": Scenario(attach_shared, (make_shared, launch), files=1),
    "detach a shared volume": Scenario(
        detach_shared, (make_shared, launch, attach_shared), files=1
    ),
    "delete a shared volume": Scenario(delete_shared, (make_shared,), None),
    "take a snapshot": Scenario(copy, (make_volume,), None, volumes=1, copies=1),
    "restore": Scenario(restore, (make_volume, copy), None, volumes=2, copies=1),
    "delete a snapshot": Scenario(delete_copy, (make_volume, copy), None, volumes=1),
}


def repeat(scenario, wiring):
    """Repeats a request that got no answer; a refusal counts as success."""
    with contextlib.suppress(Problem):
        scenario.ask(wiring)


def random_verb(rng, wiring):
    """Runs a random verb on one of a few workspaces, volumes or snapshots."""
    name, data, copied = (f"{of}{rng.randrange(n)}" for of, n in (("w", 5), ("d", 2), ("c", 2)))
    workspaces, storage = wiring.workspaces, wiring.storage
    disk = RootDisk(ebs_volume_size=30)
    sure = TerminateRequest(confirm="DELETE", backup_ebs=rng.random() < 0.2)
    ask: dict[str, Callable[[], object]] = {
        "launch": lambda: workspaces.launch(
            LaunchRequest(name=name, template="Plain Shell", size="S", storage=disk)
        ),
        **{str(verb): partial(workspaces.ask, name, verb) for verb in BY_NAME},
        "extend": lambda: workspaces.extend(name, ExtendRequest(hours=4)),
        "resize": lambda: wiring.workspaces.resize(name, ResizeRequest(size=rng.choice("SML"))),
        "terminate": lambda: workspaces.terminate(name, sure),
        "make": lambda: storage.create(NewVolume(type=VolumeKind.EBS, name=data, size_gb=8)),
        "attach": lambda: storage.attach(data, name),
        "detach": lambda: storage.detach(data),
        "delete": lambda: storage.delete(data),
        "copy": lambda: storage.take(NewSnapshot(name=copied, volume=data)),
        "delete the copy": lambda: storage.delete_snapshot(copied),
    }
    ask[rng.choices([*ask], [6, *[1] * (len(ask) - 1)])[0]]()
