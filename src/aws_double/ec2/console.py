"""Console output. No user data runs: the double reads from it what it would print."""

import base64
import hashlib
import re
import struct
import uuid
from datetime import timedelta

from aws_double.ec2 import look
from aws_double.ec2.life import tagged_as
from aws_double.ec2.model import Boot, Instance
from aws_double.tree import Tree
from aws_double.world import Call, World

MOST = 65536
BOOT_ID = "random/boot_id"  # user data that speaks of it tells the console of it


def get_console_output(call: Call) -> Tree:
    """GetConsoleOutput: the last 64 KB, base64."""
    instance = look.machine(call, call.args["InstanceId"])
    text = printed(call.world, instance).encode()[-MOST:]
    return {
        "InstanceId": instance.id,
        "Timestamp": call.now,
        "Output": base64.b64encode(text).decode(),
    }


def printed(world: World, instance: Instance) -> str:
    """Everything since its first boot."""
    return "".join(_boot(world, instance, boot) for boot in instance.boots)


def _boot(world: World, instance: Instance, boot: Boot) -> str:
    if boot.hung:  # the kernel that was to read the RAM back; it says nothing more
        return "[    0.000000] Linux version 6.1\n"
    if boot.resumed:
        return "[    0.000000] PM: hibernation: resume from hibernation\n"
    lines = ["[    0.000000] Linux version 6.1", "[    1.000000] systemd[1]: Hostname set"]
    markers = _markers(world, instance, boot)
    if markers and BOOT_ID in instance.script:
        markers.insert(1, f"prism-boot: id {boot_id(instance, boot)}")
    lines += [f"cloud-init: {line}" for line in markers]
    if world.now >= boot.done and instance.script:
        lines += [*_host_keys(instance), "Cloud-init finished"]
    return "\n".join(lines) + "\n"


def boot_id(instance: Instance, boot: Boot) -> str:
    """The boot id of Linux; a resumed machine keeps it."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{instance.id} {boot.up.isoformat()}"))


def _host_keys(instance: Instance) -> list[str]:
    """The host key as cloud-init prints it; its private half does not exist."""
    point = hashlib.sha256(instance.id.encode()).digest()
    fields = b"".join(struct.pack(">I", len(part)) + part for part in (b"ssh-ed25519", point))
    return [
        "-----BEGIN SSH HOST KEY KEYS-----",
        f"ssh-ed25519 {base64.b64encode(fields).decode()} root@{instance.id}",
        "-----END SSH HOST KEY KEYS-----",
    ]


def _markers(world: World, instance: Instance, boot: Boot) -> list[str]:
    """The markers printed so far: one after the other, the last one when the boot is done."""
    rule = world.rules.boot
    concerned = rule.machines in tagged_as(instance)
    if rule.silent and concerned:
        return []
    markers = list(dict.fromkeys(m.strip() for m in re.findall(rule.marker, instance.script)))
    failures = [line for line in markers if rule.failure and re.search(rule.failure, line)]
    lines = [line for line in markers if line not in failures]
    if rule.fails and concerned:
        lines = lines[:-1] + [line for line in failures if rule.fails in line][:1]
    whole = max(boot.done - boot.up, timedelta(microseconds=1))
    share = min(1.0, (world.now - boot.up) / whole)
    return lines[: int(len(lines) * share + 1e-9)]
