"""How far a boot is, by who can come in."""

from datetime import UTC, datetime

import pytest

from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.compute.readiness import BootStage, read
from prism.providers.aws.machine.boot_probe import boot_markers
from tests.optional import not_none
from tests.providers.aws.ssh_machine import ID

JOURNAL = """#!/bin/sh
[ "$1 $2 $3" = "--boot --unit prism-boot.service" ] || exit 1
printf 'prism-boot: begin\\nprism-boot: packages\\nnoise\\n'
cat {folder}/more 2>/dev/null
"""
IT = Ec2Instance(
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


def test_before_the_host_key_is_known_nothing_is_tried(machine_pool, sshd):
    assert boot_markers(machine_pool.pool, IT) is None
    assert machine_pool.cloud.asked == []
    assert "Connection" not in (sshd.folder / "log").read_text()


def test_the_markers_of_this_boot_are_read(machine_pool, sshd):
    machine_pool.keys.learn(ID, machine_pool.cloud.consoles[ID])
    pool = machine_pool.pool
    assert boot_markers(pool, IT) == "prism-boot: begin\nprism-boot: packages\n"
    assert read(not_none(boot_markers(pool, IT))).stage is BootStage.COMING
    (sshd.folder / "more").write_text("prism-boot: ready\n")
    assert read(not_none(boot_markers(pool, IT))).stage is BootStage.READY


def test_a_machine_that_cannot_be_entered_yet_says_nothing(machine_pool, sshd):
    machine_pool.keys.learn(ID, machine_pool.cloud.consoles[ID])
    sshd.stop()
    assert boot_markers(machine_pool.pool, IT) is None
    machine_pool.hosts.clear()
    assert boot_markers(machine_pool.pool, IT) is None
