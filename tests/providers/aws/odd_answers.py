"""AWS describes one thing as no documentation says; everything else as before."""

from contextlib import contextmanager
from unittest import mock

from prism.providers.aws.api.cloud import Cloud

LISTS = {"Reservations", "Instances", "Volumes", "Snapshots", "FileSystems"}


def no_placement(it):
    del it["Placement"]


def new_state(it):
    for name in ("State", "LifeCycleState"):
        if name in it:
            it[name] = {"Name": "frozen"} if isinstance(it[name], dict) else "frozen"


def no_start(it):
    it["LaunchTime"] = None


def tags_without_values(it):
    it["Tags"] = [{"Key": tag["Key"]} for tag in it["Tags"]]


def nothing_but_its_id(it):
    ids = {name: it[name] for name in ("InstanceId", "VolumeId", "SnapshotId") if name in it}
    it.clear()
    it.update(ids)


@contextmanager
def described_oddly(id, change):
    """What AWS answers about the thing with this id goes through `change` first."""
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
