"""EFS file systems: several machines mount one by NFS, through a mount target in each zone.

EFS has no attachments, so tags record them: for each machine, the name of the mount, and that it
is mounted.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from prism.errors import Problem, Unavailable
from prism.providers.aws.api.cloud import Answer, Cloud
from prism.providers.aws.api.faults import Missing, code_of
from prism.providers.aws.api.tagging import accepting
from prism.providers.aws.api.tags import ID_TAG, MANAGED, Tags, listed
from prism.providers.aws.api.unreadable import ReadableItems, read_item
from prism.providers.aws.network.groups import find_or_make
from prism.providers.aws.storage.efs_tags import decoded, encoded
from prism.providers.aws.storage.machines import MachineDisks, find_machine, require_machine
from prism.providers.aws.storage.mounts import AwsMounts
from prism.providers.aws.storage.tags import (
    AT,
    KIND,
    SHOWN,
    known,
    put_back,
    untagged,
    volume_tags,
)
from prism.storage.model import StorageFailure, StorageObserved, VolumeKind
from prism.storage.ports import Disk, StorageRefused, VolumeSpec, as_twin

FILE_SYSTEM_STATES = {
    "creating": StorageObserved.MAKING,
    "available": StorageObserved.THERE,
    "updating": StorageObserved.THERE,
    "deleting": StorageObserved.DELETING,
    "deleted": StorageObserved.GONE,
    "error": StorageObserved.BROKEN,
}
FAILED = StorageFailure("VOLUME_FAILED", "AWS could not make it; delete it and make another")
NFS = 2049
EFS_GROUP = "prism-efs"
MOST_TAGS = 50  # EFS quotas: tags per file system


class FileSystems:
    """The EFS file systems of one account and region."""

    def __init__(self, cloud: Cloud, mounts: AwsMounts) -> None:
        self._cloud, self._mounts = cloud, mounts

    def survey(self) -> ReadableItems:
        """All our file systems; EFS itself cannot filter by tags."""
        pages = self._cloud.pages("efs", "DescribeFileSystems", "FileSystems")
        listing = self._cloud.unreadable.read_each("FileSystemId", pages, self._disk_if_ours)
        return ReadableItems(
            [disk for disk in listing.items if disk is not None], listing.unreadable
        )

    def _disk_if_ours(self, system: Mapping[str, Any]) -> Disk | None:
        """Ours has its key as the token of its call; AWS Backup restores only the tags."""
        if not _is_ours(tags := decoded(system.get("Tags"))):
            return None
        disk = _disk(system)
        if system.get("CreationToken") == tags.get(ID_TAG):
            return disk
        return as_twin(disk, self.removal(disk.id))

    def removal(self, id: str) -> str:
        """The command that removes a file system which is no row's."""
        return f"aws efs delete-file-system --region {self._cloud.region} --file-system-id {id}"

    def find(self, id: str, spec: VolumeSpec) -> Disk | None:
        """The file system with this id, whatever its tags; adds the tags that it has lost.

        Its attachments were in its tags too, so the reconciler attaches it again.
        """
        try:
            answer = self._cloud.call("efs", "DescribeFileSystems", FileSystemId=id)
            [system] = answer["FileSystems"]
        except Missing:
            return None
        known = read_item(id, lambda: (_disk(system), decoded(system.get("Tags")))[1])
        tags = put_back(lambda lost: self._tag(id, lost), id, known, volume_tags(spec))
        return _disk({**system, "Tags": listed(encoded({**tags, ID_TAG: spec.key}))})

    def create(self, spec: VolumeSpec) -> Disk:
        """Make a file system; if the token was used before, returns the one of that call."""
        try:
            system = self._cloud.call(
                "efs",
                "CreateFileSystem",
                CreationToken=spec.key,
                Encrypted=True,
                PerformanceMode="generalPurpose",
                Tags=listed(encoded(volume_tags(spec))),
                ThroughputMode="bursting",
            )
        except Problem as error:
            if code_of(error) != "FileSystemAlreadyExists":
                raise
            answer = self._cloud.call("efs", "DescribeFileSystems", CreationToken=spec.key)
            if not answer["FileSystems"]:
                raise Unavailable(f"{spec.name} was made and is not visible yet") from error
            system = answer["FileSystems"][0]
        return read_item(f"volume {spec.name}", lambda: _disk(system))

    def attach(self, id: str, machine: str, name: str) -> None:
        """Do the next step of mounting a file system on a machine."""
        system, host = self._file_system(id), require_machine(self._cloud, machine)
        if host.over:
            return
        tags = decoded(system.get("Tags"))
        self._refuse_another_network(id, name, host)
        if tags.get(AT + machine) != name:
            if len(tags) + 2 > MOST_TAGS:
                raise StorageRefused("EFS has no tag left to attach it to one more workspace")
            self._tag(id, {AT + machine: name})
        address = self._mount_target_address(id, host)
        if address is not None and host.on and SHOWN + machine not in tags:
            self._mounts.share(machine, id, address, name)
            self._tag(id, {SHOWN + machine: name})

    def detach(self, id: str, machine: str) -> None:
        """Unmount it from a machine."""
        try:
            tags = decoded(self._file_system(id).get("Tags"))
        except Unavailable:
            return
        keys = [key for key in (SHOWN + machine, AT + machine) if key in tags]
        if not keys:
            return
        host = find_machine(self._cloud, machine)
        if host is not None and host.on:
            self._mounts.leave(machine, id)
        self._cloud.call("efs", "UntagResource", ResourceId=id, TagKeys=keys)

    def delete(self, id: str) -> None:
        """Do the next step of deleting: first the mount targets, then the file system."""
        # `FileSystemInUse`: a mount target is still being deleted.
        with suppress(Missing), accepting("FileSystemInUse"):
            targets = self._targets(id)
            for target in targets:
                if target["LifeCycleState"] != "deleting":
                    with suppress(Missing):
                        target_id = target["MountTargetId"]
                        self._cloud.call("efs", "DeleteMountTarget", MountTargetId=target_id)
            if not targets:
                self._cloud.call("efs", "DeleteFileSystem", FileSystemId=id)

    def _refuse_another_network(self, id: str, name: str, host: MachineDisks) -> None:
        """Raise if the file system has mount targets in another VPC: EFS allows one VPC at a time.

        EFS User Guide, "Creating mount targets". They must be deleted first, which ends all
        attachments.
        """
        networks = {target["VpcId"] for target in self._targets(id) if target.get("VpcId")} - {
            host.network
        }
        if networks and host.network:
            raise StorageRefused(
                f"Volume {name!r} is in {networks.pop()}, and the workspace in {host.network}: "
                "EFS reaches one VPC at a time",
                remediation="Launch a workspace with a profile of that VPC, or make a new volume",
            )

    # ---------------------------------------------------------------- mount targets
    def _mount_target_address(self, id: str, host: MachineDisks) -> str | None:
        """The address of a machine's mount target, made if missing; None while it is not ready."""
        for target in self._targets(id):
            if target.get("AvailabilityZoneName") == host.zone:
                if target["LifeCycleState"] != "available":
                    return None
                self._nfs_group(host)
                return str(target["IpAddress"])
        groups = [self._nfs_group(host)]
        args = {"FileSystemId": id, "SubnetId": host.subnet, "SecurityGroups": groups}
        try:
            self._cloud.call("efs", "CreateMountTarget", **args)
        except Problem as error:
            if code_of(error) == "IncorrectFileSystemLifeCycleState":
                raise Unavailable(f"{id} is not available yet") from error
            if code_of(error) != "MountTargetConflict":  # made meanwhile, or the answer was lost
                raise
        return None

    def _nfs_group(self, host: MachineDisks) -> str:
        """The security group of mount targets, open for NFS to a machine's own groups."""
        purpose = "Prism: NFS from workspaces to their shared volumes"
        group = find_or_make(self._cloud, host.network, EFS_GROUP, purpose)
        missing = set(host.groups) - _admitted_groups(group)
        if missing:
            pairs = [{"GroupId": group_id} for group_id in sorted(missing)]
            rule = {"IpProtocol": "tcp", "FromPort": NFS, "ToPort": NFS, "UserIdGroupPairs": pairs}
            args = {"GroupId": group["GroupId"], "IpPermissions": [rule]}
            with accepting("InvalidPermission.Duplicate"):
                self._cloud.call("ec2", "AuthorizeSecurityGroupIngress", **args)
        return str(group["GroupId"])

    def _targets(self, id: str) -> list[Answer]:
        targets = self._cloud.pages("efs", "DescribeMountTargets", "MountTargets", FileSystemId=id)
        return [target for target in targets if target["LifeCycleState"] != "deleted"]

    def _file_system(self, id: str) -> Answer:
        try:
            answer = self._cloud.call("efs", "DescribeFileSystems", FileSystemId=id)
        except Missing as unseen:
            raise Unavailable(f"EFS does not know {id}, or not yet") from unseen
        system: Answer | None = next(iter(answer["FileSystems"]), None)
        if system is None or not _is_ours(decoded(system.get("Tags"))):
            raise untagged(id, "efs")
        return system

    def _tag(self, id: str, tags: Tags) -> None:
        self._cloud.call("efs", "TagResource", ResourceId=id, Tags=listed(encoded(tags)))


def _is_ours(tags: Tags) -> bool:
    return tags.get(MANAGED) == "true" and KIND in tags and ID_TAG in tags


def _admitted_groups(group: Mapping[str, Any]) -> set[str]:
    """The security groups that may connect by NFS."""
    return {
        pair["GroupId"]
        for rule in group.get("IpPermissions", ())
        if rule.get("FromPort") == NFS
        for pair in rule.get("UserIdGroupPairs", ())
    }


def _disk(system: Mapping[str, Any]) -> Disk:
    tags = decoded(system.get("Tags"))
    attached = frozenset(key.removeprefix(AT) for key in tags if key.startswith(AT))
    mounted = {key.removeprefix(SHOWN) for key in tags if key.startswith(SHOWN)}
    observed = FILE_SYSTEM_STATES[system["LifeCycleState"]]
    size = (system.get("SizeInBytes") or {}).get("Value")
    return Disk(
        id=system["FileSystemId"],
        key=tags.get(ID_TAG, ""),
        observed=observed,
        attached=attached,
        unmounted=attached - mounted,
        used_bytes=size,
        trouble=FAILED if observed is StorageObserved.BROKEN else None,
        known=known(tags, kind=VolumeKind.EFS, created_at=system.get("CreationTime")),
    )
