"""Verification of snapshots, on request and on a schedule."""

import pytest

from prism.providers.local.storage.storage_offer import LocalStorageOffer
from prism.storage.model import StorageFailure
from tests.shapes import failed
from tests.storage.conftest import SNAPSHOTS

FAILURE = StorageFailure("VERIFICATION_FAILED", "folder/file is missing")
DAY = 86_400


@pytest.fixture
def take_snapshot(storage):
    storage.made()

    def take(**more):
        assert storage.take(volume="data", **more).status_code == 201
        storage.settle()
        return storage.snapshot()

    return take


def verify(storage, **body):
    return storage.http("POST", f"{SNAPSHOTS}/kept/verify", json=body)


def verifications(storage):
    return sum(call.startswith("verify ") for call in storage.disks.calls)


def test_snapshot_is_verified_once_on_request(storage, take_snapshot):
    snapshot = take_snapshot()
    assert (snapshot["state"], snapshot["verification"], snapshot["verify"]) == (
        "completed",
        None,
        None,
    )
    answer = verify(storage).json()
    assert (answer["verification"], answer["verified_at"]) == ("pending", None)
    storage.settle()
    snapshot = storage.snapshot()
    assert (snapshot["verification"], snapshot["verification_failure"]) == ("passed", None)
    assert snapshot["verified_at"]
    storage.settle(seconds=90 * DAY)
    assert verifications(storage) == 1, "verified once"


def test_failed_verification_is_shown_until_the_next_verification(storage, take_snapshot):
    take_snapshot()
    storage.disks.faults.verification_failure = FAILURE
    verify(storage)
    storage.settle()
    snapshot = storage.snapshot()
    assert (snapshot["state"], snapshot["verification"]) == ("completed", "failed")
    assert snapshot["verification_failure"]["message"] == FAILURE.message
    assert storage.events_of("snapshot_state_changed")
    storage.disks.faults.verification_failure = None
    assert verify(storage).json()["verification"] == "pending"
    storage.settle()
    assert storage.snapshot()["verification"] == "passed"


def test_scheduled_verification_repeats_until_it_is_cancelled(storage, take_snapshot):
    assert take_snapshot(verify="weekly")["verification"] == "pending"
    storage.settle(seconds=6 * DAY)
    assert verifications(storage) == 0
    for weeks in (1, 2, 3):
        storage.settle(seconds=8 * DAY)
        assert verifications(storage) >= weeks
    assert storage.snapshot()["verification"] == "passed"
    verify(storage, every="never")
    storage.settle()
    done = verifications(storage)
    storage.settle(seconds=30 * DAY)
    assert (verifications(storage), storage.snapshot()["verify"]) == (done, None)


def test_verification_is_retried_after_provider_faults(storage, take_snapshot):
    take_snapshot()
    storage.disks.faults.down = True
    verify(storage)
    storage.settle()
    assert storage.snapshot()["verification"] == "pending"
    storage.disks.faults.down = False
    storage.disks.faults.lose_replies = 1
    storage.settle(seconds=600)
    assert storage.snapshot()["verification"] == "passed"


def test_verification_is_refused_with_the_reason(storage, take_snapshot, monkeypatch):
    storage.disks.faults.slow = storage.disks.patience
    take_snapshot()
    failed(verify(storage), 409, "INVALID_STATE")
    storage.settle(seconds=600)
    failed(storage.http("POST", f"{SNAPSHOTS}/none/verify", json={}), 404, "SNAPSHOT_NOT_FOUND")
    failed(verify(storage, every="hourly"), 422, "VALIDATION_FAILED")
    monkeypatch.setattr(LocalStorageOffer, "no_verification", lambda self: "it shows nobody")
    fault = failed(verify(storage), 409, "NO_VERIFICATION")
    order = {"volume": "data", "verify": "daily"}
    failed(storage.take("again", **order), 409, "NO_VERIFICATION")
    assert storage.snapshot()["verification"] is None, fault
