"""Recovers a machine's facts from its tags, for a daemon without its rows: pure."""

from prism.providers.aws.api import tags as names
from prism.providers.aws.compute.instance import Ec2Instance
from prism.recovery.model import FoundMachine
from prism.workspaces.model import Observed
from prism.workspaces.ports import Machine

RUNNING_OBSERVATIONS = {Observed.STARTING, Observed.ON, Observed.STOPPING}


def machine_of_tags(instance: Ec2Instance, machine: Machine, *, at_home: bool) -> FoundMachine:
    """A machine without a row; facts that no tag contains stay unknown."""
    tags = instance.tags
    size, _, kind = tags.get(names.ROOT_DISK, "").partition(" ")
    return FoundMachine(
        id=instance.id,
        key=instance.key,
        twin_of=_twin_of(instance),
        observed=machine.observed,
        charged=machine.charged,
        name=tags.get(names.OUR_NAME) or tags.get(names.NAME_TAG, ""),
        owner=tags.get(names.USER, ""),
        profile=tags.get(names.PROFILE, ""),
        template=tags.get(names.TEMPLATE, ""),
        parameters=names.parameters_of(tags),
        instance_type=instance.type,
        spot=instance.spot_request is not None,
        unlimited=names.CREDITS in tags,
        root_gb=int(size) if size.isdecimal() else None,
        root_type=kind or None,
        hibernation=instance.hibernates,
        project=tags.get(names.PROJECT) or None,
        budget=tags.get(names.BUDGET) or None,
        idle_profile=tags.get(names.IDLE_PROFILE) or None,
        launched_at=names.moment(tags.get(names.LAUNCHED_AT)),
        started_at=instance.launched if machine.observed in RUNNING_OBSERVATIONS else None,
        ends_at=names.moment(tags.get(names.ENDS_AT)),
        stops_at=names.expires_at(tags),
        at_home=at_home,
    )


def _twin_of(instance: Ec2Instance) -> str | None:
    """The name of the workspace whose tags it has although no launch of Prism made it."""
    tagged = instance.tags.get(names.ID_TAG)
    if tagged is None or tagged == instance.key:
        return None
    return instance.tags.get(names.OUR_NAME) or tagged
