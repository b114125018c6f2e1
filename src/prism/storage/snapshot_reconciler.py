"""Fulfils requests for snapshots: observe, plan, act, record."""

from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from prism.errors import Unavailable
from prism.kit.clock import whole
from prism.kit.db import Tx
from prism.kit.reconcile import NEVER_DUE, Claim, ReconcileResult
from prism.storage import store
from prism.storage.events import SnapshotStateChanged, about
from prism.storage.model import (
    AttachmentHost,
    Snapshot,
    StorageFailure,
    StorageObserved,
    StorageVerb,
    Volume,
)
from prism.storage.plan import (
    StorageAction,
    gigabytes,
    next_verification,
    perceive,
    plan_snapshot,
    snapshot_state,
    verification,
    verification_token,
)
from prism.storage.ports import (
    FetchesSnapshots,
    ProviderSnapshot,
    SnapshotSpec,
    StorageRefused,
    VerificationResult,
)
from prism.storage.reconciler import SYSTEM, VANISHED, StorageReconciler
from prism.storage.survey import LazySurvey, snapshot_spec


class SnapshotReconciler(StorageReconciler):
    """Brings every snapshot to the state that was requested."""

    rows = store.snapshots

    def mark_due(self) -> timedelta:
        """Survey each location that is due; rows that differ from the survey become due."""
        now, look = self._clock.now(), self.look()
        locations = self._rounds.due(now)
        with self._db.read() as sql:
            known = store.idle_in(sql, Snapshot, locations)
        changed = [snapshot.id for snapshot in known if _differs(snapshot, look)]
        return self._make_due(Snapshot, changed, now)

    def reconcile(self, claim: Claim, view: LazySurvey) -> ReconcileResult:
        """Do the next step for one snapshot."""
        with self._db.read() as sql:
            before = store.by_id(sql, Snapshot, claim.id)
            host = self._hosts.of(sql, [before.source_id]).get(before.source_id)
            links = store.attachments_of(sql, [before.source_id])[before.source_id]
        provider, now = self._providers[before.location], self._clock.now()
        copy = view.copy(before)
        observed = perceive(before, copy.observed if copy else None, now, provider.patience)
        moving = not provider.early and any(
            attachment.wanted != attachment.attached for attachment in links
        )
        act = plan_snapshot(before, observed, host, moving=moving)
        if self._is_paused(None) and act in {StorageAction.MAKE, StorageAction.DELETE}:
            act = StorageAction.WAIT
        if act is StorageAction.FORGET:
            return ReconcileResult(NEVER_DUE - now, lambda tx: self._forget(tx, before))
        facts = _facts(before, observed, copy)
        try:
            facts |= self._act(claim, before, act, host)
        except StorageRefused as error:
            facts |= {
                "observed": StorageObserved.BROKEN,
                "trouble": StorageFailure(error.code, error.message_with_remediation),
            }
            facts |= {
                "observed_generation": before.generation,
                "attempted_generation": before.generation,
                "provider_called_at": None,
            }
        if act is StorageAction.REST:
            facts |= self._verify(replace(before, **facts), copy)
        return self._result(before, facts, act)

    def _verify(self, snapshot: Snapshot, copy: ProviderSnapshot | None) -> dict[str, Any]:
        """Start a verification if one is due; the result, if it has ended."""
        due, token = next_verification(snapshot, self._clock.now()), verification_token(snapshot)
        if copy is None or due is None or due > self._clock.now():
            return {}
        verified = copy.verified if copy.verified and copy.verified.token == token else None
        if verified is None:
            try:
                self._providers[snapshot.location].verify(copy.id, token)
            except StorageRefused as error:
                trouble = StorageFailure(error.code, error.message_with_remediation)
                verified = VerificationResult(token=token, at=self._clock.now(), trouble=trouble)
        if verified is None:
            return {}
        facts = {"verified_at": whole(verified.at), "verify_trouble": verified.trouble}
        return {**facts, "verified_generation": snapshot.verify_generation}

    def _act(
        self, claim: Claim, snapshot: Snapshot, act: StorageAction, host: AttachmentHost | None
    ) -> dict[str, Any]:
        provider = self._providers[snapshot.location]
        if act is StorageAction.MAKE:
            source = "" if snapshot.origin else self._source_id(snapshot, host)
            with self._db.write() as tx:  # before the call, after which it may exist
                claim.update(tx, provider_called_at=self._clock.now())
            copy = self._make(snapshot, source)
            return {
                **_facts(snapshot, copy.observed, copy),
                "attempted_generation": snapshot.generation,
            }
        if act is StorageAction.DELETE and snapshot.copy_id is not None:
            provider.delete_snapshot(snapshot.copy_id)
            return {"provider_called_at": None}  # from here on, not listed is gone
        return {}

    def _make(self, snapshot: Snapshot, source: str) -> ProviderSnapshot:
        provider, spec = self._providers[snapshot.location], self._spec(snapshot)
        if snapshot.origin is None:
            return provider.snapshot(spec, source)
        if not isinstance(provider, FetchesSnapshots):
            raise StorageRefused("Snapshots cannot be fetched to this location")
        return provider.fetch(spec, snapshot.kind, snapshot.origin)

    def _spec(self, snapshot: Snapshot) -> SnapshotSpec:
        return snapshot_spec(snapshot, self._project_name(snapshot.project))

    def _source_id(self, snapshot: Snapshot, host: AttachmentHost | None) -> str:
        """The provider's id of the source."""
        if snapshot.source == "workspace":
            source = host.machine if host else None
        else:
            with self._db.read() as sql:
                volume = next(iter(store.by_ids(sql, Volume, [snapshot.source_id])), None)
            source = volume.disk_id if volume else None
        if source is None:
            raise StorageRefused(f"There is nothing left of {snapshot.source_name!r} to copy")
        return source

    def _result(
        self, before: Snapshot, facts: dict[str, Any], act: StorageAction
    ) -> ReconcileResult:
        if act is StorageAction.REST:
            facts |= {"observed_generation": before.generation}
        at_rest = (
            act is StorageAction.REST or facts.get("observed_generation") == before.generation
        )
        now, busy = self._clock.now(), self._providers[before.location].busy
        due = next_verification(replace(before, **facts), now)
        rest = max(busy, due - now) if due is not None else NEVER_DUE - now
        pause = rest if at_rest else busy
        return ReconcileResult(pause, lambda tx: self._record(tx, before.id, facts))

    def _record(self, tx: Tx, id: str, facts: dict[str, Any]) -> None:
        before = store.by_id(tx.sql, Snapshot, id)
        after = replace(before, **facts)
        is_shown = _shown_fields(before) != _shown_fields(after)
        event = (lambda it: _state_event(before, it)) if is_shown else None
        self._changes.apply(tx, before, after, event, observed=True)

    def _forget(self, tx: Tx, snapshot: Snapshot) -> None:
        gone = replace(snapshot, verb=StorageVerb.DELETE, observed=StorageObserved.GONE)
        self._changes.forget(tx, snapshot, _state_event(snapshot, gone))


def _facts(
    snapshot: Snapshot, observed: StorageObserved, copy: ProviderSnapshot | None
) -> dict[str, Any]:
    if copy is None:
        lost = observed is StorageObserved.GONE and snapshot.verb is StorageVerb.MAKE
        return {"observed": observed, "trouble": VANISHED if lost else snapshot.trouble}
    used = copy.used_bytes
    return {
        "observed": observed,
        "copy_id": copy.id,
        "progress": copy.progress,
        "used_bytes": used,
        "trouble": copy.trouble,
        "one_moment": copy.one_moment,
    }


def _differs(snapshot: Snapshot, look: LazySurvey) -> bool:
    """Whether the survey differs from the row."""
    try:
        copy = look.copy(snapshot)
    except Unavailable:
        return False
    if copy is None:
        return snapshot.copy_id is not None and snapshot.observed not in {
            StorageObserved.GONE,
            StorageObserved.BROKEN,
        }
    facts = _facts(snapshot, copy.observed, copy)
    return any(getattr(snapshot, name) != value for name, value in facts.items())


def _shown_fields(snapshot: Snapshot) -> tuple[object, ...]:
    verified = verification(snapshot), snapshot.verified_at, snapshot.verify_trouble
    size = gigabytes(snapshot.used_bytes)
    return (
        snapshot_state(snapshot),
        snapshot.copy_id,
        size,
        snapshot.trouble,
        snapshot.progress,
        snapshot.one_moment,
        verified,
    )


def _state_event(before: Snapshot, after: Snapshot) -> SnapshotStateChanged:
    return SnapshotStateChanged(
        **about(after),
        actor=SYSTEM,
        previous_state=snapshot_state(before),
        state=snapshot_state(after),
        failure=after.trouble,
    )
