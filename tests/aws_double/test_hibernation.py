"""Hibernation: its requirements, its limitations, and the boot after it."""

import pytest

from tests.aws_double.boto import (
    UBUNTU,
    UBUNTUS,
    console,
    described_instance,
    disk,
    hibernation_order,
    image,
    launch_instance,
    order,
    refusal_message,
    refused,
    running_instance,
    set_rules,
    state,
)

NO = "UnsupportedHibernationConfiguration"


def test_hibernated_instance_is_stopped_with_a_state_reason(aws, ec2):
    """stopping, then stopped, with Client.UserInitiatedHibernate.

    StateReason
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
    """
    set_rules(aws, times={"hibernating": 60})
    id = running_instance(aws, ec2, **hibernation_order())
    assert described_instance(ec2, id)["HibernationOptions"] == {"Configured": True}
    ec2.stop_instances(InstanceIds=[id], Hibernate=True)
    aws.clock.advance(59)
    assert state(ec2, id) == "stopping"
    aws.clock.advance(2)
    now = described_instance(ec2, id)
    assert now["State"]["Name"] == "stopped"
    assert now["StateReason"]["Code"] == "Client.UserInitiatedHibernate"


def test_hibernation_is_refused_when_not_enabled_at_launch(aws, ec2):
    """Hibernation cannot be enabled or disabled after launch.

    Prerequisites for EC2 instance hibernation
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hibernating-prerequisites.html
    """
    id = running_instance(aws, ec2)
    refusal = refusal_message(NO, ec2.stop_instances, InstanceIds=[id], Hibernate=True)
    assert "not configured at launch for hibernation" in refusal
    assert state(ec2, id) == "running"


BAD = {
    "type without hibernation": ({"InstanceType": "g4dn.xlarge"}, "does not support"),
    "too much memory": ({"InstanceType": "m7i-flex.12xlarge"}, "150 GiB"),
    "unencrypted root disk": ({"BlockDeviceMappings": [disk(20, "/dev/sda1")]}, "encrypted"),
    "small root disk": (
        {
            "InstanceType": "t3.2xlarge",
            "BlockDeviceMappings": [disk(30, "/dev/sda1", Encrypted=True)],
        },
        "cannot hold",
    ),
}


@pytest.mark.parametrize("change, why", BAD.values(), ids=BAD)
def test_launch_without_the_requirements_of_hibernation_is_refused(ec2, change, why):
    """Type, RAM below 150 GiB, an encrypted root volume, large enough for the RAM.

    Prerequisites for EC2 instance hibernation
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hibernating-prerequisites.html
    """
    assert why in refusal_message(NO, ec2.run_instances, **order(**hibernation_order(**change)))


@pytest.mark.parametrize("owner", ["792107900819", "136693071363"], ids=["Rocky", "Debian"])
def test_launch_for_hibernation_with_an_unsupported_image_is_refused(ec2, owner):
    """Ubuntu and Amazon Linux are among the supported images; Debian and Rocky Linux are not.

    Prerequisites for EC2 instance hibernation: AMIs
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hibernating-prerequisites.html
    """
    [image, *_] = ec2.describe_images(
        Owners=[owner], Filters=[{"Name": "architecture", "Values": ["x86_64"]}]
    )["Images"]
    request = hibernation_order(
        ImageId=image["ImageId"],
        BlockDeviceMappings=[disk(20, image["RootDeviceName"], Encrypted=True)],
    )
    assert "image" in refusal_message(NO, ec2.run_instances, **order(**request))


def test_hibernation_is_refused_right_after_the_start(aws, ec2):
    """The instance is not ready to hibernate yet; retry in a few minutes.

    Troubleshoot EC2 instance hibernation
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshoot-instance-hibernate.html
    """
    set_rules(aws, times={"hibernation_ready": 120})
    id = running_instance(aws, ec2, **hibernation_order())
    request = {"InstanceIds": [id], "Hibernate": True}
    assert "not ready to hibernate" in refusal_message(
        "UnsupportedOperation", ec2.stop_instances, **request
    )
    aws.clock.advance(120)
    ec2.stop_instances(**request)


def test_resumed_instance_does_not_run_user_data_again(aws, ec2):
    """Processes are resumed as they were; the user data does not run.

    Hibernate your Amazon EC2 instance
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Hibernate.html
    """
    script = "echo prism-boot: ready > /dev/console"
    id = running_instance(aws, ec2, **hibernation_order(UserData=script))
    aws.clock.advance(5)
    ec2.stop_instances(InstanceIds=[id], Hibernate=True)
    aws.clock.advance(1)
    ec2.start_instances(InstanceIds=[id])
    aws.clock.advance(1)
    assert state(ec2, id) == "running"
    assert "StateReason" not in described_instance(ec2, id)
    assert console(ec2, id).count("prism-boot: ready") == 1
    assert "resume from hibernation" in console(ec2, id)


def test_hibernated_instance_cannot_be_resized_imaged_or_attached(aws, ec2):
    """No other type, no image, no attached volume while it is hibernated.

    Hibernate your Amazon EC2 instance: limitations
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Hibernate.html
    """
    id = running_instance(aws, ec2, **hibernation_order())
    zone = described_instance(ec2, id)["Placement"]["AvailabilityZone"]
    volume = ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    ec2.stop_instances(InstanceIds=[id], Hibernate=True)
    aws.clock.advance(1)
    larger = {"InstanceId": id, "InstanceType": {"Value": "t3.large"}}
    refused("UnsupportedOperation", ec2.modify_instance_attribute, **larger)
    refused("IncorrectState", ec2.create_image, InstanceId=id, Name="mine")
    at = {"VolumeId": volume, "InstanceId": id, "Device": "/dev/sdf"}
    refused("IncorrectState", ec2.attach_volume, **at)


def test_hibernation_stays_configured_after_a_plain_stop(aws, ec2):
    """A plain stop is possible; hibernation remains configured.

    Hibernate your Amazon EC2 instance
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Hibernate.html
    """
    id = running_instance(aws, ec2, **hibernation_order())
    ec2.stop_instances(InstanceIds=[id])
    aws.clock.advance(1)
    assert described_instance(ec2, id)["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert described_instance(ec2, id)["HibernationOptions"]["Configured"]


@pytest.mark.parametrize("larger", ["t3.large", "r6i.large"])
def test_instance_with_hibernation_cannot_be_resized(aws, ec2, larger):
    """AWS's pages disagree: "you cannot change the instance type if hibernation is enabled", and
    while it is stopped "you can modify [...] the instance type or size". The double is strict.

    Change the instance type; How Amazon EC2 instance hibernation works
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-resize.html
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-hibernate-overview.html
    """
    id = running_instance(aws, ec2, **hibernation_order())
    ec2.stop_instances(InstanceIds=[id])
    aws.clock.advance(1)
    request = {"InstanceId": id, "InstanceType": {"Value": larger}}
    refused("UnsupportedOperation", ec2.modify_instance_attribute, **request)
    assert described_instance(ec2, id)["InstanceType"] != larger


def test_arm_instance_can_be_launched_for_hibernation(aws, ec2):
    """T4g is among the supported families.

    Prerequisites for EC2 instance hibernation
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hibernating-prerequisites.html
    """
    assert launch_instance(
        ec2,
        **hibernation_order(ImageId=image("arm64", parameter=UBUNTU), InstanceType="t4g.small"),
    )


BOOT_ID_SCRIPT = (
    "prism-boot: begin; cat /proc/sys/kernel/random/boot_id /proc/sys/kernel/random/uuid"
    "; a unit for hibernate.target"
)
# Linux, kernel/power/hibernate.c (software_resume) and kernel/power/swap.c (load_image): this is
# what the kernel prints that was booted, before the memory is read back.
BOOTED_TO_RESUME = [
    "Linux version 6.1",
    "PM: hibernation: resume from hibernation",
    "PM: Loading and decompressing image data (251713 pages)...",
]


def boot_ids(text):
    """The boot id and the value in memory, from each report."""
    return [line.split()[-3:-1] for line in text.splitlines() if "prism-boot: id " in line]


def kernel_words(text):
    lines = [line.partition("] ") for line in text.splitlines() if line.startswith("[")]
    return [words for _, _, words in lines]


def hibernated_and_started(aws, ec2, **tags):
    """The console output of an instance before a hibernation, and after the start."""
    id = running_instance(
        aws, ec2, {"Name": "mine"} | tags, UserData=BOOT_ID_SCRIPT, **hibernation_order()
    )
    aws.clock.advance(5)
    before = console(ec2, id)
    ec2.stop_instances(InstanceIds=[id], Hibernate=True)
    aws.clock.advance(1)
    assert described_instance(ec2, id)["StateReason"]["Code"] == "Client.UserInitiatedHibernate"
    ec2.start_instances(InstanceIds=[id])
    aws.clock.advance(5)
    assert state(ec2, id) == "running"
    return before, console(ec2, id).removeprefix(before)


def test_resumed_instance_has_the_same_boot_id(aws, ec2):
    """The RAM contents are reloaded, and processes continue.

    Hibernate your Amazon EC2 instance
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Hibernate.html
    """
    before, after = hibernated_and_started(aws, ec2)
    assert len(boot_ids(before)) == 1
    assert boot_ids(after) == boot_ids(before)
    assert kernel_words(after) == [
        *BOOTED_TO_RESUME,
        "PM: Image loading done",
        "PM: hibernation: hibernation exit",
    ]


def test_instance_that_cannot_hibernate_shuts_down_and_boots_again(aws, ec2):
    """If the instance cannot hibernate successfully, a normal shutdown occurs.

    The state reason says what was initiated, not what came of it: StopInstances, and StateReason
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html
    """
    set_rules(aws, sleepless="Name=mine")
    before, after = hibernated_and_started(aws, ec2)
    assert "Linux version" in after
    assert boot_ids(after) and boot_ids(after) != boot_ids(before)


def test_instance_that_cannot_read_its_memory_back_boots_again(aws, ec2):
    """`resume failed` is printed, and the kernel that was booted goes on booting.

    Linux, kernel/power/hibernate.c, software_resume; Troubleshoot Amazon EC2 hibernation
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshoot-instance-hibernate.html
    """
    set_rules(aws, unreadable_memory="Name=mine")
    before, after = hibernated_and_started(aws, ec2)
    assert kernel_words(after)[:4] == [*BOOTED_TO_RESUME, "PM: hibernation: resume failed (-5)"]
    assert boot_ids(after) and boot_ids(after) != boot_ids(before)


def test_instance_that_hangs_at_resume_can_be_stopped_by_force(aws, ec2):
    """Troubleshoot Amazon EC2 instance hibernation; the instance stays running, or stopping.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshoot-instance-hibernate.html
    """
    set_rules(aws, hangs="Name=mine")
    _, after = hibernated_and_started(aws, ec2)
    assert kernel_words(after) == BOOTED_TO_RESUME
    assert len(after.splitlines()) == len(BOOTED_TO_RESUME)
    [id] = [machine["id"] for machine in aws.machines()]
    ec2.stop_instances(InstanceIds=[id])
    aws.clock.advance(3600)
    assert state(ec2, id) == "stopping"
    ec2.stop_instances(InstanceIds=[id], Force=True)
    assert state(ec2, id) == "stopped"


@pytest.mark.parametrize("release", ["22.04", "24.04"])
def test_only_listed_ubuntu_releases_support_hibernation(ec2, release):
    """22.04.2 is the newest Ubuntu of the list.

    Prerequisites for EC2 instance hibernation
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hibernating-prerequisites.html
    """
    wish = hibernation_order(ImageId=image(parameter=UBUNTUS[release]))
    if release == "22.04":
        assert launch_instance(ec2, **wish)
    else:
        assert "does not support hibernation" in refusal_message(
            NO, launch_instance, ec2=ec2, **wish
        )
