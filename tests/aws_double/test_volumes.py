"""Volumes and snapshots."""

import pytest

from tests.aws_double.boto import (
    described_instance,
    launch_instance,
    refusal_message,
    refused,
    running_instance,
    set_rules,
    state,
)

HERE, THERE = "us-east-1a", "us-east-1b"
IN_HERE = {"Placement": {"AvailabilityZone": HERE}}


def volume(ec2, zone=HERE, size=10, **more):
    return ec2.create_volume(AvailabilityZone=zone, Size=size, **more)["VolumeId"]


def described(ec2, id):
    return ec2.describe_volumes(VolumeIds=[id])["Volumes"][0]


def test_volume_is_creating_then_available(aws, ec2):
    """creating, then available.

    EBS volume lifecycle
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-lifecycle.html
    """
    set_rules(aws, times={"volume": 3})
    id = volume(ec2, VolumeType="gp3", Encrypted=True)
    assert described(ec2, id)["State"] == "creating"
    machine = running_instance(aws, ec2, **IN_HERE)
    refused(
        "IncorrectState",
        ec2.attach_volume,
        VolumeId=id,
        InstanceId=machine,
        Device="/dev/sdf",
    )
    aws.clock.advance(3)
    now = described(ec2, id)
    assert (now["State"], now["Iops"], now["Throughput"]) == ("available", 3000, 125)


def test_attach_volume_requires_the_same_zone_and_a_free_device(aws, ec2):
    """Zone, state, device: InvalidVolume.ZoneMismatch, VolumeInUse, a device in use.

    Attach an Amazon EBS volume to an Amazon EC2 instance
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-attaching-volume.html
    """
    machine = running_instance(aws, ec2, **IN_HERE)
    far, near, next_one = volume(ec2, THERE), volume(ec2), volume(ec2)

    def at(id, device="/dev/sdf"):
        return {"VolumeId": id, "InstanceId": machine, "Device": device}

    refused("InvalidVolume.ZoneMismatch", ec2.attach_volume, **at(far))
    refused("InvalidParameterValue", ec2.attach_volume, **at(near, "disk2"))
    assert ec2.attach_volume(**at(near))["State"] == "attached"
    refused("VolumeInUse", ec2.attach_volume, **at(near, "/dev/sdg"))
    assert "already in use" in refusal_message(
        "InvalidParameterValue", ec2.attach_volume, **at(next_one)
    )
    [_, extra] = described_instance(ec2, machine)["BlockDeviceMappings"]
    assert (extra["DeviceName"], extra["Ebs"]["VolumeId"]) == ("/dev/sdf", near)
    assert not extra["Ebs"]["DeleteOnTermination"]


def test_attach_volume_requires_a_running_or_stopped_instance(aws, ec2):
    """You can attach a volume to a running or stopped instance.

    AttachVolume
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachVolume.html
    """
    id, machine = volume(ec2), launch_instance(ec2, **IN_HERE)
    at = {"VolumeId": id, "InstanceId": machine, "Device": "/dev/sdf"}
    refused("IncorrectState", ec2.attach_volume, **at)
    aws.clock.advance(1)
    ec2.stop_instances(InstanceIds=[machine])
    aws.clock.advance(1)
    ec2.attach_volume(**at)


def test_volume_is_attaching_attached_detaching_then_available(aws, ec2):
    """attaching, attached, detaching, then available again.

    VolumeAttachment
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VolumeAttachment.html
    """
    set_rules(aws, times={"attaching": 2})
    id, machine = volume(ec2), running_instance(aws, ec2, **IN_HERE)
    ec2.attach_volume(VolumeId=id, InstanceId=machine, Device="/dev/sdf")
    for expected in ("attaching", "attached"):
        assert described(ec2, id)["Attachments"][0]["State"] == expected
        assert (
            described_instance(ec2, machine)["BlockDeviceMappings"][1]["Ebs"]["Status"] == expected
        )
        aws.clock.advance(2)
    assert ec2.detach_volume(VolumeId=id)["State"] == "detaching"
    refused("VolumeInUse", ec2.delete_volume, VolumeId=id)
    aws.clock.advance(2)
    assert described(ec2, id)["State"] == "available"
    assert len(described_instance(ec2, machine)["BlockDeviceMappings"]) == 1
    refused("IncorrectState", ec2.detach_volume, VolumeId=id)


def test_root_volume_of_a_running_instance_cannot_be_detached(aws, ec2):
    """The instance must be stopped before its root volume is detached.

    Detach an Amazon EBS volume
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-detaching-volume.html
    """
    machine = running_instance(aws, ec2)
    root = described_instance(ec2, machine)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    refused("OperationNotPermitted", ec2.detach_volume, VolumeId=root)
    ec2.stop_instances(InstanceIds=[machine])
    aws.clock.advance(1)
    ec2.detach_volume(VolumeId=root)


def test_deleted_volume_is_not_found(ec2):
    """InvalidVolume.NotFound.

    Error codes for the Amazon EC2 API
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    id = volume(ec2)
    ec2.delete_volume(VolumeId=id)
    refused("InvalidVolume.NotFound", ec2.delete_volume, VolumeId=id)
    refused("InvalidVolume.NotFound", ec2.describe_volumes, VolumeIds=[id])


OUTSIDE = {
    "gp2 above 16 TiB": {"VolumeType": "gp2", "Size": 16385},
    "st1 below 125 GiB": {"VolumeType": "st1", "Size": 124},
    "io2 below 4 GiB": {"VolumeType": "io2", "Size": 3, "Iops": 100},
    "gp3 with too many IOPS": {"VolumeType": "gp3", "Size": 10, "Iops": 5001},
    "gp3 with too few IOPS": {"VolumeType": "gp3", "Size": 10, "Iops": 2999},
    "gp3 with too much throughput": {"VolumeType": "gp3", "Size": 100, "Throughput": 800},
    "io2 with too many for its size": {"VolumeType": "io2", "Size": 4, "Iops": 4001},
}


@pytest.mark.parametrize("wish", OUTSIDE.values(), ids=OUTSIDE)
def test_volume_beyond_the_limits_of_its_type_is_refused(ec2, wish):
    """Size, IOPS, throughput, and their ratios.

    Amazon EBS volume types
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html
    """
    refused("InvalidParameterValue", ec2.create_volume, AvailabilityZone=HERE, **wish)
    assert ec2.describe_volumes()["Volumes"] == []


def test_iops_are_required_or_refused_by_volume_type(ec2):
    """Required for io1 and io2; not supported for gp2, st1, sc1.

    CreateVolume
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html
    """
    bare = {"AvailabilityZone": HERE, "Size": 200}
    refused("MissingParameter", ec2.create_volume, **bare, VolumeType="io2")
    refused("InvalidParameterCombination", ec2.create_volume, **bare, VolumeType="st1", Iops=500)
    refused("UnknownVolumeType", ec2.create_volume, **bare, VolumeType="floppy")


def test_volume_can_grow_but_not_shrink(aws, ec2):
    """You can increase the size, not decrease it.

    Modify an Amazon EBS volume using Elastic Volumes
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modify-volume.html
    """
    id = volume(ec2, VolumeType="gp3")
    ec2.modify_volume(VolumeId=id, Size=20)
    assert described(ec2, id)["Size"] == 20
    refused("InvalidParameterValue", ec2.modify_volume, VolumeId=id, Size=19)
    [change] = ec2.describe_volumes_modifications(VolumeIds=[id])["VolumesModifications"]
    assert (change["OriginalSize"], change["TargetSize"]) == (10, 20)


# ---------------------------------------------------------------- snapshots
def test_snapshot_is_pending_then_completed(aws, ec2):
    """pending until all blocks are copied; a volume needs a completed one.

    Amazon EBS snapshots
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-creating-snapshot.html
    """
    set_rules(aws, times={"snapshot": 10})
    source = volume(ec2)
    id = ec2.create_snapshot(VolumeId=source)["SnapshotId"]
    aws.clock.advance(5)
    [now] = ec2.describe_snapshots(SnapshotIds=[id])["Snapshots"]
    assert (now["State"], now["Progress"]) == ("pending", "50%")
    restored = {"AvailabilityZone": THERE, "SnapshotId": id}
    refused("IncorrectState", ec2.create_volume, **restored)
    aws.clock.advance(5)
    [now] = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert (now["State"], now["Progress"]) == ("completed", "100%")
    assert ec2.create_volume(**restored)["Size"] == 10


def test_snapshot_and_restored_volume_of_an_encrypted_volume_are_encrypted(aws, ec2):
    """Snapshots of encrypted volumes are encrypted, and volumes made of them.

    Amazon EBS encryption
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption.html
    """
    snapshot = ec2.create_snapshot(VolumeId=volume(ec2, Encrypted=True))
    assert snapshot["Encrypted"]
    aws.clock.advance(1)
    restored = {"AvailabilityZone": HERE, "SnapshotId": snapshot["SnapshotId"]}
    assert ec2.create_volume(**restored)["Encrypted"]
    refused("InvalidParameterValue", ec2.create_volume, **restored, Size=9)


def test_second_snapshot_of_a_volume_within_seconds_is_refused(aws, ec2):
    """SnapshotCreationPerVolumeRateExceeded: wait 15 seconds before the next of that volume.

    Error codes for the Amazon EC2 API
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    set_rules(aws, times={"snapshot_again": 15})
    source, other = volume(ec2), volume(ec2)
    ec2.create_snapshot(VolumeId=source)
    refused("SnapshotCreationPerVolumeRateExceeded", ec2.create_snapshot, VolumeId=source)
    ec2.create_snapshot(VolumeId=other)
    aws.clock.advance(15)
    ec2.create_snapshot(VolumeId=source)


@pytest.mark.parametrize(("kind", "size", "most"), [("gp3", 10, 5), ("st1", 125, 1)])
def test_concurrent_snapshots_of_a_volume_are_limited(aws, ec2, kind, size, most):
    """ConcurrentSnapshotLimitExceeded: wait until those under way are completed.

    Quotas for Amazon EBS
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html
    """
    set_rules(aws, times={"snapshot": 100})
    source = volume(ec2, size=size, VolumeType=kind)
    for _ in range(most):
        ec2.create_snapshot(VolumeId=source)
    refused("ConcurrentSnapshotLimitExceeded", ec2.create_snapshot, VolumeId=source)
    aws.clock.advance(101)
    ec2.create_snapshot(VolumeId=source)


def test_snapshot_used_by_an_image_cannot_be_deleted(aws, ec2):
    """InvalidSnapshot.InUse, until the image is deregistered.

    Delete an Amazon EBS snapshot
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-deleting-snapshot.html
    """
    machine = running_instance(aws, ec2)
    ami = ec2.create_image(InstanceId=machine, Name="mine")["ImageId"]
    [snapshot] = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    request = {"SnapshotId": snapshot["SnapshotId"]}
    refused("InvalidSnapshot.InUse", ec2.delete_snapshot, **request)
    ec2.deregister_image(ImageId=ami)
    ec2.delete_snapshot(**request)
    refused("InvalidSnapshot.NotFound", ec2.delete_snapshot, **request)
    assert state(ec2, machine) == "running"
