"""Console output. No user data runs: the double reads from it what it would print."""

import base64
import hashlib
import re
import struct
import uuid
from datetime import datetime, timedelta

from aws_double.ec2 import look
from aws_double.ec2.life import tagged_as
from aws_double.ec2.model import Boot, Instance
from aws_double.facts.types import type_of
from aws_double.refusals import Refusal
from aws_double.rules import Boot as BootRules
from aws_double.tree import Tree
from aws_double.world import Call, World

MOST = 65536
BOOT_ID = "random/boot_id"  # user data that speaks of it tells the console of it
MEMORY = "random/uuid"  # user data that makes a random value and keeps it in memory
AT_RESUME = "hibernate.target"  # user data with a unit of it prints its markers at a resume, too
# Linux, kernel/power/hibernate.c and swap.c: what the kernel that was booted prints while it reads
# the memory back; what the resumed kernel prints; and what the booted one prints if it fails.
KERNEL = "[    0.000000] Linux version 6.1"
RESUMES = "[    3.100000] PM: hibernation: resume from hibernation"
LOADS = "[    3.200000] PM: Loading and decompressing image data (251713 pages)..."
LOADED = (
    "[    9.400000] PM: Image loading done",
    "[  812.700000] PM: hibernation: hibernation exit",
)
FAILED = "[    3.300000] PM: hibernation: resume failed (-5)"


def get_console_output(call: Call) -> Tree:
    """GetConsoleOutput: the last 64 KB, base64; `Latest` only of Nitro machines."""
    instance = look.machine(call, call.args["InstanceId"])
    if call.args.get("Latest") and type_of(instance.type).get("Hypervisor") != "nitro":
        raise Refusal("UnsupportedOperation", f"{instance.type} has no latest console output.")
    text = shown(call.world, instance).encode()[-MOST:]
    return {
        "InstanceId": instance.id,
        "Timestamp": call.now,
        "Output": base64.b64encode(text).decode(),
    }


def shown(world: World, instance: Instance) -> str:
    """Everything since its first boot that the console shows by now; it never goes back."""
    until = world.now - world.span("console")
    instance.console_until = max(until, instance.console_until or until)
    return "".join(
        _boot(world.rules.boot, instance, boot, instance.console_until)
        for boot in instance.boots
        if boot.up <= instance.console_until
    )


def _boot(rule: BootRules, instance: Instance, boot: Boot, now: datetime) -> str:
    marked = [f"cloud-init: {line}" for line in _markers_with_id(rule, instance, boot, now)]
    lines = [KERNEL]
    if boot.resumed or boot.unreadable:
        lines += [RESUMES, LOADS]
    if boot.hung:  # it says nothing more
        return _text(lines)
    if boot.resumed:
        lines += LOADED
        if AT_RESUME in instance.script:
            lines += marked
        return _text(lines)
    if boot.unreadable:
        lines.append(FAILED)
    lines += ["[   11.000000] systemd[1]: Hostname set"]
    lines += marked
    if now >= boot.done and instance.script:
        lines += [*_host_keys(instance), "Cloud-init finished"]
    return _text(lines)


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _markers_with_id(rule: BootRules, instance: Instance, boot: Boot, now: datetime) -> list[str]:
    """The markers of a boot, or of a resume: the kernel's boot id, a value in memory, the time."""
    markers = _markers(rule, instance, boot, now)
    if markers and BOOT_ID in instance.script:
        words = [boot_id(instance, boot)]
        if MEMORY in instance.script:
            words += [_in_memory(instance, boot, "memory"), f"{boot.up:%Y-%m-%dT%H:%M:%SZ}"]
        markers.insert(1, f"prism-boot: id {' '.join(words)}")
    return markers


def boot_id(instance: Instance, boot: Boot) -> str:
    """The boot id of Linux; a resumed machine keeps it."""
    return _in_memory(instance, boot, "")


def _in_memory(instance: Instance, boot: Boot, name: str) -> str:
    """A random value of the boot whose memory the machine has."""
    ups = [start.up for start in instance.boots if not start.resumed and start.up <= boot.up]
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{instance.id} {ups[-1].isoformat()} {name}"))


def _host_keys(instance: Instance) -> list[str]:
    """The host key as cloud-init prints it; its private half does not exist."""
    point = hashlib.sha256(instance.id.encode()).digest()
    fields = b"".join(struct.pack(">I", len(part)) + part for part in (b"ssh-ed25519", point))
    return [
        "-----BEGIN SSH HOST KEY KEYS-----",
        f"ssh-ed25519 {base64.b64encode(fields).decode()} root@{instance.id}",
        "-----END SSH HOST KEY KEYS-----",
    ]


def _markers(rule: BootRules, instance: Instance, boot: Boot, now: datetime) -> list[str]:
    """The markers printed so far: one after the other, the last one when the boot is done."""
    concerned = rule.machines in tagged_as(instance)
    if rule.silent and concerned:
        return []
    markers = list(dict.fromkeys(m.strip() for m in re.findall(rule.marker, instance.script)))
    failures = [line for line in markers if rule.failure and re.search(rule.failure, line)]
    lines = [line for line in markers if line not in failures]
    if rule.fails and concerned:
        lines = lines[:-1] + [line for line in failures if rule.fails in line][:1]
    whole = max(boot.done - boot.up, timedelta(microseconds=1))
    share = min(1.0, (now - boot.up) / whole)
    return lines[: int(len(lines) * share + 1e-9)]
