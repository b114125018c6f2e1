"""One-time links in the mails of invitations."""

import secrets
from datetime import datetime

from prism.access.model import current
from prism.access.service import SECRET, hashed
from prism.kit.clock import Clock
from prism.kit.db import Tx
from prism.kit.ids import sortable_id
from prism.sessions import store
from prism.sessions.model import CodeKind, LoginCode


class InvitationLinks:
    """Implements `invitations.model.LoginLinks`.

    Only the mail gets a link: whoever invites could otherwise log in as the invited person.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def for_invitation(self, tx: Tx, id: str, user: str, until: datetime) -> str:
        """The secret of a new link."""
        secret = secrets.token_urlsafe(SECRET)
        link = LoginCode(
            id=sortable_id("lnk", self._clock.now()),
            kind=CodeKind.LINK,
            user=user,
            hash=hashed(secret),
            created_by=current().name,
            expires_at=until,
            parent=id,
        )
        store.add_code(tx, link)
        return f"{link.id}.{secret}"

    def forget(self, tx: Tx, id: str) -> None:
        """Delete the links of an invitation."""
        store.remove_codes_of(tx, id)
