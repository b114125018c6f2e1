"""State changes of machines, and their duration."""

import re
from datetime import UTC, datetime, timedelta

from aws_double.ec2.model import BY_ITSELF, HIBERNATED, SPOT_ENDED, SPOT_STOPPED, Boot, Instance
from aws_double.facts.types import launch_share
from aws_double.world import World

NEXT = {"pending": "running", "stopping": "stopped", "shutting-down": "terminated"}
AT_LEAST = timedelta(seconds=1)
GO_TEXT = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")
GO_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def enter(world: World, instance: Instance, state: str, reason: str | None) -> None:
    """Begin a change of state, which ends after its time unless the rules make it stick."""
    instance.state, instance.reason = state, reason
    instance.changes += 1
    instance.transition = ""
    if reason is not None:
        by = "User initiated" if reason.startswith("Client.User") else reason.partition(".")[2]
        instance.transition = f"{by} ({world.now:%Y-%m-%d %H:%M:%S} GMT)"
    refresh(world, instance.id)
    name = "hibernating" if instance.asleep else state.replace("-", "_")
    takes = world.span(name)
    for stuck in world.rules.stuck:
        if stuck.state == state and stuck.machines in tagged_as(instance):
            if stuck.seconds is None:
                return
            takes = timedelta(seconds=stuck.seconds)
    change = instance.changes

    def end(_: datetime) -> None:
        if instance.changes == change:
            arrive(world, instance)

    world.alarm(world.now + takes, end)


def is_deaf(world: World, instance: Instance) -> bool:
    """Whether a stuck machine ignores force, too."""
    tags = tagged_as(instance)
    stuck = (rule for rule in world.rules.stuck if rule.deaf and rule.state == instance.state)
    return any(rule.machines in tags for rule in stuck)


def arrive(world: World, instance: Instance) -> None:
    """End the change of state."""
    if instance.state == "pending" and (reason := _end_of_launch(world, instance)):
        enter(world, instance, "shutting-down", reason)
        return
    instance.state = NEXT[instance.state]
    refresh(world, instance.id)
    if instance.state == "running":
        _enter_running(world, instance)
    elif instance.state == "stopped":
        _enter_stopped(world, instance)
        if instance.taken:
            _wait_for_room(world, instance)
    else:
        _enter_terminated(world, instance)


def refresh(world: World, id: str) -> None:
    """Call after any change of a machine: drops its cached XML and sets its timer again."""
    if (instance := world.instances.get(id)) is None:
        return
    instance.touches += 1
    instance.xml = None
    if instance.state == "running":
        set_timer(world, instance)


def _enter_running(world: World, instance: Instance) -> None:
    resumed = instance.reason == HIBERNATED and not instance.forgot
    hung = resumed and _concerns(world.rules.hangs, instance)
    unreadable = resumed and not hung and _concerns(world.rules.unreadable_memory, instance)
    resumed = resumed and not unreadable
    done = world.now if resumed else world.now + _boot_time(world, instance)
    instance.boots.append(Boot(world.now, done, resumed, hung, unreadable))
    instance.forgot = False
    instance.reason, instance.transition = None, ""
    set_timer(world, instance)


def _boot_time(world: World, instance: Instance) -> timedelta:
    """How long a boot takes: longer at the baseline of its CPUs, of which it keeps one busy."""
    takes = world.span("boot")
    if world.rules.slow_start and instance.credits == "standard":
        return takes / launch_share(instance.type)
    return takes


def _enter_stopped(world: World, instance: Instance) -> None:
    instance.public_ip = instance.address
    if instance.market:
        instance.startable = world.after("marked_for_stop")


def _wait_for_room(world: World, instance: Instance) -> None:
    """Start an interrupted machine once there is capacity; `times.taken` says how often to try."""
    at = max(world.after("taken"), world.now + AT_LEAST)

    def look(_: datetime) -> None:
        waits = instance.taken and instance.state == "stopped"
        if waits and instance.again is not None and not instance.again():
            _wait_for_room(world, instance)

    world.alarm(at, look)


def _end_of_launch(world: World, instance: Instance) -> str | None:
    """Why EC2 terminates a machine whose launch it has accepted; None for a later start."""
    tags = tagged_as(instance)
    ends = (rule.reason for rule in world.rules.ends if rule.machines in tags)
    return None if instance.boots else next(ends, None)


def _enter_terminated(world: World, instance: Instance) -> None:
    instance.public_ip = instance.address = None
    instance.private_ip, instance.groups = "", []
    for volume in world.disks(instance.id).values():
        if volume.attachment is not None and volume.attachment.dies:
            del world.volumes[volume.id]
        world.detach(volume)
    token_ends = world.after("token")
    world.tokens.expire("RunInstances", instance.token, token_ends)
    world.alarm(world.after("remembered"), lambda _: _stop_describing(world, instance))
    world.alarm(token_ends, lambda _: _forget(world, instance))
    if instance.heir is not None:
        instance.heir()


def _stop_describing(world: World, instance: Instance) -> None:
    world.no_longer_described[instance.id] = world.instances.pop(instance.id)


def _forget(world: World, instance: Instance) -> None:
    world.no_longer_described.pop(instance.id, None)


# ------------------------------------------------------------------ the machine's own timer
def set_timer(world: World, instance: Instance) -> None:
    """Power a machine off at the time in its tag."""
    if (at := timer_of(world, instance)) is None:
        return
    touch = instance.touches

    def ring(_: datetime) -> None:
        if instance.touches == touch:
            power_off(world, instance)

    world.alarm(max(at, world.now), ring)


def timer_of(world: World, instance: Instance) -> datetime | None:
    """When the machine powers itself off; None unless its user data contains the tag."""
    tag = world.rules.timer
    if not tag or tag not in instance.script or not instance.boots:
        return None
    if (at := instant(instance.tags.get(tag, ""), instance.born)) is None:
        return None
    if instance.tags.get("prism:expire-action") == "hibernate":
        at += timedelta(seconds=world.rules.patience)
    return max(at, instance.boots[-1].done)


def instant(text: str, born: datetime) -> datetime | None:
    """The time that a text means: a Go duration since the launch, or a time in ISO 8601."""
    if GO_TEXT.fullmatch(text):
        parts = GO_PART.findall(text)
        return born + timedelta(seconds=sum(float(n) * GO_UNITS[unit] for n, unit in parts))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def power_off(world: World, instance: Instance) -> None:
    """Shut the operating system down; the launch says whether that stops or terminates."""
    state = "shutting-down" if instance.behaviour == "terminate" else "stopping"
    enter(world, instance, state, BY_ITSELF)


def tagged_as(instance: Instance) -> str:
    """All tags as one text, in which rules search."""
    return " ".join(f"{key}={value}" for key, value in instance.tags.items())


def _concerns(text: str, instance: Instance) -> bool:
    return bool(text) and text in tagged_as(instance)


def interrupt(world: World, instance: Instance) -> None:
    """EC2 takes a spot machine back; the launch says whether that stops or terminates."""
    options = (instance.market or {}).get("SpotOptions") or {}
    behaviour = options.get("InstanceInterruptionBehavior", "terminate")
    if behaviour == "terminate":
        enter(world, instance, "shutting-down", SPOT_ENDED)
    else:
        instance.taken = True
        enter(
            world, instance, "stopping", HIBERNATED if behaviour == "hibernate" else SPOT_STOPPED
        )


def reboot(world: World, instance: Instance) -> None:
    """Reboot the machine at once."""
    instance.boots.append(Boot(world.now, world.now + _boot_time(world, instance)))
    refresh(world, instance.id)
