"""Makes AWS describe one resource in an undocumented way, and all others as before."""

from contextlib import contextmanager
from unittest import mock

from prism.providers.aws.api.cloud import Cloud

LISTS = {"Reservations", "Instances", "Volumes", "Snapshots", "FileSystems"}


def no_placement(description):
    del description["Placement"]


def new_state(description):
    for name in ("State", "LifeCycleState"):
        if name in description:
            description[name] = (
                {"Name": "frozen"} if isinstance(description[name], dict) else "frozen"
            )


def no_start(description):
    description["LaunchTime"] = None


def tags_without_values(description):
    description["Tags"] = [{"Key": tag["Key"]} for tag in description["Tags"]]


def nothing_but_its_id(description):
    ids = {
        name: description[name]
        for name in ("InstanceId", "VolumeId", "SnapshotId")
        if name in description
    }
    description.clear()
    description.update(ids)


@contextmanager
def described_oddly(id, change):
    """Let `change` alter what AWS answers about the resource with this id."""
    call_once = Cloud._call_once

    def odd(self, service, action, arguments):
        answer = call_once(self, service, action, arguments)
        for item in (answer, *_items(answer)):
            if id in {item.get(name) for name in IDS}:
                change(item)
        return answer

    with mock.patch.object(Cloud, "_call_once", odd):
        yield


IDS = ("InstanceId", "VolumeId", "SnapshotId", "FileSystemId")


def _items(answer):
    for name, items in answer.items():
        if name in LISTS and isinstance(items, list):
            for item in items:
                yield item
                yield from _items(item)
