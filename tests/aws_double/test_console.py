"""The console output of an instance, and the progress of its boot."""

import gzip

from prism.providers.aws.ssh.hostkeys import key_on_console
from tests.aws_double.boto import console, launch_instance, refused, running_instance, set_rules

SCRIPT = """#cloud-config
runcmd:
  - apt-get install -y jupyter && echo "prism-boot: packages" > /dev/console
  - systemctl start jupyter || echo "prism-boot: failed jupyter" > /dev/console
  - echo "prism-boot: ready" > /dev/console
"""


def test_boot_markers_appear_on_the_console_in_order(aws, ec2):
    """The console output of a machine shows what it has printed while it boots.

    Instance console output
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-console-console-output.html
    """
    set_rules(aws, times={"pending": 1, "boot": 60})
    id = launch_instance(ec2, UserData=SCRIPT)
    assert console(ec2, id) == ""
    aws.clock.advance(1)
    assert "prism-boot" not in console(ec2, id)
    aws.clock.advance(31)
    assert "prism-boot: packages" in console(ec2, id)
    assert "prism-boot: ready" not in console(ec2, id)
    aws.clock.advance(30)
    assert "prism-boot: ready" in console(ec2, id)
    assert "failed" not in console(ec2, id)


def test_console_can_show_the_output_late_and_until_then_the_former_one(aws, ec2):
    """Output is "posted shortly after" a start, and may be that of an earlier one until then.

    GetConsoleOutput
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
    """
    set_rules(aws, times={"boot": 10, "console": 30})
    id = running_instance(aws, ec2, UserData=SCRIPT)
    aws.clock.advance(25)
    assert console(ec2, id) == ""
    aws.clock.advance(10)
    assert "prism-boot: packages" in console(ec2, id)
    assert "prism-boot: ready" not in console(ec2, id)
    aws.clock.advance(10)
    assert console(ec2, id).count("prism-boot: ready") == 1
    ec2.reboot_instances(InstanceIds=[id])
    aws.clock.advance(25)
    former = console(ec2, id)
    assert former.count("Linux version") == 1 and "prism-boot: ready" in former
    aws.clock.advance(20)
    assert console(ec2, id).count("Linux version") == 2


def test_shown_console_output_never_goes_back(aws, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-console-console-output.html"""
    set_rules(aws, times={"boot": 10, "console": [0, 60]})
    id = running_instance(aws, ec2, UserData=SCRIPT)
    lengths = []
    for _ in range(40):
        aws.clock.advance(2)
        lengths.append(len(console(ec2, id)))
    assert lengths == sorted(lengths) and lengths[-1] > lengths[0]


def test_latest_output_is_refused_where_the_hypervisor_is_not_nitro(aws, ec2):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html"""
    id = running_instance(aws, ec2, InstanceType="t2.small", UserData=SCRIPT)
    aws.clock.advance(5)
    refused("UnsupportedOperation", ec2.get_console_output, InstanceId=id, Latest=True)
    assert "prism-boot: ready" in console(ec2, id)


def test_compressed_user_data_is_run(aws, ec2):
    """Content that is gzip-compressed is uncompressed by cloud-init.

    Run commands on your Linux instance at launch
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
    """
    id = running_instance(aws, ec2, UserData=gzip.compress(SCRIPT.encode()))
    aws.clock.advance(2)
    assert "prism-boot: ready" in console(ec2, id)


def test_boot_fails_or_stays_silent_by_rule(aws, ec2):
    """The console output is where a failed boot is looked for.

    Troubleshoot an unreachable instance
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshoot-unreachable-instance.html
    """
    set_rules(aws, boot={"fails": "jupyter", "machines": "Name=bad"})
    good = running_instance(aws, ec2, {"Name": "good"}, UserData=SCRIPT)
    bad = running_instance(aws, ec2, {"Name": "bad"}, UserData=SCRIPT)
    aws.clock.advance(5)
    assert "prism-boot: ready" in console(ec2, good)
    assert "prism-boot: packages" in console(ec2, bad)
    assert "prism-boot: failed jupyter" in console(ec2, bad)
    assert "prism-boot: ready" not in console(ec2, bad)
    set_rules(aws, boot={"silent": True})
    assert "prism-boot" not in console(ec2, good)


def test_console_output_contains_every_boot(aws, ec2):
    """The output covers the most recent 64 KB, over reboots.

    GetConsoleOutput
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
    """
    id = running_instance(aws, ec2, UserData=SCRIPT)
    aws.clock.advance(5)
    ec2.reboot_instances(InstanceIds=[id])
    aws.clock.advance(5)
    assert console(ec2, id).count("prism-boot: ready") == 2


def test_changed_user_data_runs_again_only_with_a_bootcmd_that_resets_it(aws, ec2):
    """Scripts and cloud-init directives run at the first boot; `bootcmd` at each.

    Run commands when you launch an EC2 instance with user data input
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
    """
    id = running_instance(aws, ec2, UserData=SCRIPT)
    aws.clock.advance(5)
    for more, counts in (("", False), ("bootcmd: rm sem/config_write_files\n", True)):
        ec2.stop_instances(InstanceIds=[id])
        aws.clock.advance(5)
        data = f"{more}prism-boot: begin\nprism-boot: another\nprism-boot: ready\n"
        ec2.modify_instance_attribute(InstanceId=id, UserData={"Value": data.encode()})
        ec2.start_instances(InstanceIds=[id])
        aws.clock.advance(10)
        assert ("prism-boot: another" in console(ec2, id)) is counts


def test_host_keys_are_printed_after_the_user_data(aws, ec2):
    """cloud-init prints them between two lines, and a script may look for them there.

    Connect to your Linux instance: get the instance fingerprint
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/connect-to-linux-instance.html
    """
    first, other = (running_instance(aws, ec2, UserData=SCRIPT) for _ in range(2))
    keys = {key_on_console(console(ec2, id)) for id in (first, other)}
    assert keys == {None}
    aws.clock.advance(10)
    keys = {key_on_console(console(ec2, id)) for id in (first, other)}
    assert len(keys) == 2
    assert all(key and key.startswith("ssh-ed25519 AAAA") for key in keys)
    assert key_on_console(console(ec2, first)) in keys
