"""The progress of a boot, read by SSH."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.compute.readiness import BootStage, read
from prism.providers.aws.machine.boot_probe import boot_markers
from tests.optional import not_none
from tests.providers.aws.ssh_machine import ID

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
JOURNAL = """#!/bin/sh
[ "$1 $2 $3" = "--boot --unit prism-boot.service" ] || exit 1
printf 'prism-boot: begin\\nprism-boot: packages\\nnoise\\n'
cat {folder}/more 2>/dev/null
"""
INSTANCE = Ec2Instance(
    id=ID,
    key="ws_1",
    state="running",
    type="t3.small",
    zone="z",
    launched=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.fixture
def sshd(sshd):
    sshd.program("journalctl", JOURNAL.format(folder=sshd.folder))
    return sshd


def test_no_connection_is_made_before_the_host_key_is_known(machine_pool):
    assert boot_markers(machine_pool.pool, INSTANCE) is None
    assert machine_pool.cloud.asked == []
    assert machine_pool.pool._links == {}


def test_markers_of_the_present_boot_are_read(machine_pool, sshd):
    machine_pool.keys.learn(ID, machine_pool.cloud.consoles[ID])
    pool = machine_pool.pool
    text = not_none(boot_markers(pool, INSTANCE))
    assert text.startswith("prism-boot: begin\nprism-boot: packages\nprism-boot: id ")
    assert read(not_none(boot_markers(pool, INSTANCE))).stage is BootStage.COMING
    (sshd.folder / "more").write_text("prism-boot: ready\n")
    assert read(not_none(boot_markers(pool, INSTANCE))).stage is BootStage.READY


def test_memory_that_answers_now_replaces_the_one_in_the_journal(machine_pool, sshd):
    """The journal of a boot that has hibernated shows what it printed before that."""
    machine_pool.keys.learn(ID, machine_pool.cloud.consoles[ID])
    (sshd.folder / "more").write_text("prism-boot: id old 2026-01-01T00:00:00Z\n")
    status = read(not_none(boot_markers(machine_pool.pool, INSTANCE)), INSTANCE.launched)
    assert status.id.split()[0] == BOOT_ID
    assert status.at is not None and status.at > INSTANCE.launched


def test_unreachable_machine_gives_no_markers(machine_pool, sshd):
    machine_pool.keys.learn(ID, machine_pool.cloud.consoles[ID])
    sshd.stop()
    assert boot_markers(machine_pool.pool, INSTANCE) is None
    machine_pool.hosts.clear()
    assert boot_markers(machine_pool.pool, INSTANCE) is None
