"""Every EC2 action that the double answers."""

from aws_double.ec2 import (
    addresses,
    console,
    credits,
    groups,
    images,
    instances,
    keys,
    kinds,
    launch,
    look,
    network,
    routes,
    snapshots,
    spot,
    tags,
    volumes,
)
from aws_double.world import actions_of

ACTIONS = actions_of(
    addresses,
    console,
    credits,
    groups,
    images,
    instances,
    keys,
    kinds,
    launch,
    look,
    network,
    routes,
    snapshots,
    spot,
    tags,
    volumes,
)
