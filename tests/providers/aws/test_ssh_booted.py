"""How far a boot is, by who can come in."""

from datetime import UTC, datetime

import pytest

from prism.providers.aws.booted import Booted
from prism.providers.aws.instance import Instance
from prism.providers.aws.ready import Stage, read
from tests.providers.aws.machine import ID, Seat, Sshd

JOURNAL = """#!/bin/sh
[ "$1 $2 $3" = "--boot --unit prism-boot.service" ] || exit 1
printf 'prism-boot: begin\\nprism-boot: packages\\nnoise\\n'
cat {folder}/more 2>/dev/null
"""
IT = Instance(
    id=ID,
    key="ws_1",
    state="running",
    type="t3.small",
    zone="z",
    launched=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.fixture
def sshd(tmp_path):
    it = Sshd(tmp_path / "machine")
    it.program("journalctl", JOURNAL.format(folder=it.folder))
    it.start()
    yield it
    it.stop()


@pytest.fixture
def seat(tmp_path, sshd):
    it = Seat(tmp_path / "home", sshd)
    yield it
    it.close()


def test_before_the_host_key_is_known_nothing_is_tried(seat, sshd):
    assert Booted(seat.pool)(IT) is None
    assert seat.cloud.asked == []
    assert "Connection" not in (sshd.folder / "log").read_text()


def test_the_markers_of_this_boot_are_read(seat, sshd):
    seat.keys.learn(ID, seat.cloud.consoles[ID])
    booted = Booted(seat.pool)
    assert booted(IT) == "prism-boot: begin\nprism-boot: packages\n"
    assert read(booted(IT)).stage is Stage.COMING
    (sshd.folder / "more").write_text("prism-boot: ready\n")
    assert read(booted(IT)).stage is Stage.READY


def test_a_machine_that_cannot_be_entered_yet_says_nothing(seat, sshd):
    seat.keys.learn(ID, seat.cloud.consoles[ID])
    sshd.stop()
    assert Booted(seat.pool)(IT) is None
    seat.hosts.clear()
    assert Booted(seat.pool)(IT) is None
