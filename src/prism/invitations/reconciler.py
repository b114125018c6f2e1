"""Sends queued mail at least once.

A mail is a row until the server has accepted it. If the daemon dies in between, it sends the mail
again with the same Message-ID, so that mail programs recognise the duplicate.
"""

import re
from datetime import timedelta

from prism.errors import Unavailable
from prism.invitations import store
from prism.invitations.events import (
    InvitationDelayed,
    InvitationMailed,
    InvitationUndeliverable,
    InvitationWritten,
    about,
)
from prism.invitations.model import InvitationStatus, Mail
from prism.invitations.plan import status_of
from prism.invitations.ports import MailTransport, Undeliverable
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.reconcile import Claim, DatabaseReconciler, ReconcileResult

SYSTEM_ACTOR = "prism"
RETRIED = "it is tried again: "
DIGIT = re.compile(r"\d")
RETRY_DELAY = timedelta(minutes=5)  # never used: a finished row is deleted


class MailReconciler(DatabaseReconciler):
    """Sends the rows of queued mail."""

    rows = store.mails

    def __init__(
        self, db: Database, clock: Clock, transport: MailTransport, sender: str, address: str
    ) -> None:
        self._db, self._clock = db, clock
        self._transport, self._sender, self._address = transport, sender, address

    def reconcile(self, claim: Claim, view: None) -> ReconcileResult:
        """Send one mail, unless its invitation has ended."""
        with self._db.read() as sql:
            mail = store.mail(sql, claim.id)
        if (
            mail is None
            or status_of(mail.invitation, self._clock.now()) is not InvitationStatus.PENDING
        ):
            return ReconcileResult(
                RETRY_DELAY, lambda tx: self._record_dropped(tx, claim.id, mail)
            )
        from prism.invitations.message import compose  # noqa: PLC0415  cold start: few send mail

        try:
            file = self._transport.send(compose(mail, self._sender, self._address))
        except Unavailable as problem:
            self._record_delay(claim, mail, problem.details or problem.message)
            raise  # the loop knows how long to wait
        except Undeliverable as problem:
            why = problem.details or problem.message
            return ReconcileResult(
                RETRY_DELAY, lambda tx: self._record_refusal(tx, claim.id, mail, why)
            )
        return ReconcileResult(RETRY_DELAY, lambda tx: self._record_sent(tx, claim.id, mail, file))

    def _record_sent(self, tx: Tx, id: str, mail: Mail, file: str | None) -> None:
        store.remove_mail(tx, id)
        at = whole(self._clock.now()) if file is None else None
        store.update_fields(
            tx, mail.invitation.id, mailed_at=at, mail_file=file, mail_problem=None
        )
        if file is None:
            tx.happened(
                InvitationMailed(**about(mail.invitation, mail.project_name, SYSTEM_ACTOR))
            )
        else:
            tx.happened(
                InvitationWritten(
                    **about(mail.invitation, mail.project_name, SYSTEM_ACTOR), file=file
                )
            )

    def _record_dropped(self, tx: Tx, id: str, mail: Mail | None) -> None:
        """Remove the note about retries, since there are none any more."""
        store.remove_mail(tx, id)
        if mail is not None and (problem := mail.invitation.mail_problem) is not None:
            store.update_fields(tx, mail.invitation.id, mail_problem=problem.removeprefix(RETRIED))

    def _record_delay(self, claim: Claim, mail: Mail, why: str) -> None:
        """Record why a mail is delayed, once for each reason."""
        problem = f"{RETRIED}{why}"
        if _words_of(problem) == _words_of(mail.invitation.mail_problem or ""):
            return
        with self._db.write() as tx:
            claim.update(tx, lease=claim.lease)  # raises if another daemon has it now
            store.update_fields(tx, mail.invitation.id, mail_problem=problem)
            tx.happened(
                InvitationDelayed(
                    **about(mail.invitation, mail.project_name, SYSTEM_ACTOR), problem=problem
                )
            )

    def _record_refusal(self, tx: Tx, id: str, mail: Mail, why: str) -> None:
        store.remove_mail(tx, id)
        store.update_fields(tx, mail.invitation.id, mail_problem=why)
        tx.happened(
            InvitationUndeliverable(
                **about(mail.invitation, mail.project_name, SYSTEM_ACTOR), problem=why
            )
        )


def _words_of(problem: str) -> list[str]:
    """Its words without numbers, since waiting times, ids and addresses differ between retries."""
    return [word for word in problem.split() if not DIGIT.search(word)]
