"""Which sessions were made with a token or in a session."""

from collections.abc import Sequence

from sqlalchemy import Connection

from prism.kit.db import Tx
from prism.sessions import store
from prism.sessions.events import SessionEnded, about


class SessionLineage:
    """Implements `access.revocation.MadeSessions`."""

    def made_with(self, sql: Connection, id: str) -> Sequence[str]:
        """The ids of sessions that began with a token, in a session, or with a link from there."""
        return [session.id for session in store.made_with(sql, id)]

    def exists(self, sql: Connection, id: str) -> bool:
        """Whether nobody has ended this session."""
        return store.by_id(sql, id) is not None

    def end(self, tx: Tx, id: str, actor: str) -> bool:
        """End a session, if it is one; codes and links that were made with this id end too."""
        store.remove_codes_of(tx, id)
        session = store.by_id(tx.sql, id)
        if session is None:
            return False
        store.remove(tx, id)
        tx.happened(SessionEnded(**about(session, actor)))
        return True
