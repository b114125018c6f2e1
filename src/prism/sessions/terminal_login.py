"""Logs command lines in: by a browser on their computer, or by a code typed into any browser."""

import base64
import hashlib
import hmac
import secrets
from datetime import timedelta

from msgspec import structs
from sqlalchemy import Connection

from prism.access.model import PermissionDenied, current
from prism.access.service import NO_HASH, SECRET, hashed
from prism.kit.attempts import AttemptLimit, TooManyAttempts
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.kit.limits import network_of
from prism.sessions import store
from prism.sessions.model import (
    CODE_LIFE,
    DEVICE_LIFE,
    POLL_SECONDS,
    USER_CODE_LENGTH,
    USER_CODE_LETTERS,
    AnsweredDeviceLogin,
    ApprovedTerminal,
    CodeKind,
    DeviceAnswer,
    DeviceLogin,
    DeviceLoginNotFound,
    DeviceLoginShown,
    DeviceState,
    LoginCode,
    LoginRefused,
    SessionClient,
    SessionMethod,
    StartedDeviceLogin,
    TerminalApproval,
    TerminalRequest,
    TerminalSession,
    UserCodeAnswer,
)
from prism.sessions.service import SessionService

BEARER_PREFIX = "prism_"
LOG_IN_AGAIN = "Begin again on your computer: `prism login URL`"
MOST_WAITING, MOST_OF_ADDRESS = 2000, 100  # logins that nobody has answered yet
MOST_WRONG_CODES, WRONG_CODES_PERIOD = 10, timedelta(minutes=15)


def plain_code(typed: str) -> str:
    """A user code as it was made, whatever people put between its letters."""
    return "".join(letter for letter in typed.upper() if letter.isalnum())


class TerminalLogins:
    """Begins the sessions of command lines, which a person allows in a session of a browser."""

    def __init__(self, db: Database, clock: Clock, sessions: SessionService) -> None:
        self._db, self._clock, self._sessions = db, clock, sessions
        self._wrong_codes = AttemptLimit(clock, MOST_WRONG_CODES, WRONG_CODES_PERIOD)

    def approve(self, request: TerminalApproval) -> ApprovedTerminal:
        """Make a code for a command line of the browser's own computer.

        It goes to 127.0.0.1 only, and is worth nothing without the verifier of the challenge.
        """
        parent, now = self._browser_session(), whole(self._clock.now())
        secret = secrets.token_urlsafe(SECRET)
        code = LoginCode(
            id=sortable_id("trm", self._clock.now()),
            kind=CodeKind.TERMINAL,
            user=current().name,
            hash=hashed(secret),
            created_by=current().name,
            expires_at=now + CODE_LIFE,
            challenge=request.challenge,
            computer=request.computer,
            parent=parent,
        )
        with self._db.write() as tx:
            store.prune(tx, now)
            store.add_code(tx, code)
        query = f"code={code.id}.{secret}&state={request.state}"
        return ApprovedTerminal(f"http://127.0.0.1:{request.port}/?{query}")

    def redeem(self, request: TerminalRequest, address: str) -> TerminalSession:
        """Begin the session of a code, which is used up, also with a wrong verifier."""
        digest = hashlib.sha256(request.verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        with self._db.write() as tx:
            code = self._sessions.take_code(tx, request.code, CodeKind.TERMINAL)
            matches = hmac.compare_digest(challenge, (code and code.challenge) or NO_HASH)
            new = (
                self._begin(tx, code.parent, code.computer, address) if code and matches else None
            )
        if new is None:  # outside of the transaction, which has used the code up
            raise LoginRefused(
                details="the code was used already, has expired, or is of another command",
                remediation=LOG_IN_AGAIN,
            )
        return new

    def start_device(self, computer: str, address: str) -> StartedDeviceLogin:
        """Make the two codes of a login on a computer without a browser."""
        now, secret = whole(self._clock.now()), secrets.token_urlsafe(SECRET)
        typed = "".join(secrets.choice(USER_CODE_LETTERS) for _ in range(USER_CODE_LENGTH))
        device = DeviceLogin(
            id=sortable_id("dev", self._clock.now()),
            hash=hashed(secret),
            user_code=hashed(typed),
            computer=computer,
            address=address,
            created_at=now,
            expires_at=now + DEVICE_LIFE,
        )
        with self._db.write() as tx:
            store.prune(tx, now)
            networks = [network_of(waiting) for waiting in store.device_addresses(tx.sql)]
            of_this = networks.count(network_of(address))
            if len(networks) >= MOST_WAITING or of_this >= MOST_OF_ADDRESS:
                raise TooManyAttempts(
                    "Too many command lines wait for a login",
                    details="each that nobody allows ends after 10 minutes",
                    remediation="Try again later, or log in on a computer with a browser",
                )
            store.add_device(tx, device)
        half = USER_CODE_LENGTH // 2
        return StartedDeviceLogin(
            device_code=f"{device.id}.{secret}",
            user_code=f"{typed[:half]}-{typed[half:]}",
            expires_in=int(DEVICE_LIFE.total_seconds()),
            interval=POLL_SECONDS,
        )

    def find_device(self, typed: str) -> DeviceLoginShown:
        """Which command line waits with this code."""
        self._browser_session()
        with self._db.read() as sql:
            device = self._waiting(sql, typed)
        return DeviceLoginShown(
            computer=device.computer, address=device.address, created_at=device.created_at
        )

    def answer_device(self, request: UserCodeAnswer) -> AnsweredDeviceLogin:
        """Allow or deny a command line; its code is used up."""
        parent = self._browser_session()
        with self._db.write() as tx:
            device = self._waiting(tx.sql, request.user_code)
            # No code is typed twice: this one now has a hash of nothing.
            used_up = hashed(secrets.token_urlsafe(SECRET))
            answered = structs.replace(
                device, allowed=request.allow, parent=parent, user_code=used_up
            )
            store.change_device(tx, answered)
        done = "is logged in" if request.allow else "gets no access"
        return AnsweredDeviceLogin(f"The command line on {device.computer} {done}")

    def poll(self, device_code: str, address: str) -> DeviceAnswer:
        """Whether somebody has answered; the session, once."""
        id, _, secret = device_code.partition(".")
        now = self._clock.now()
        with self._db.write() as tx:
            device = store.device_by_id(tx.sql, id)
            matches = hmac.compare_digest(hashed(secret), device.hash if device else NO_HASH)
            if device is None or not matches or device.expires_at <= now:
                return DeviceAnswer(state=DeviceState.EXPIRED, interval=POLL_SECONDS)
            if device.allowed is None:
                return self._still_waiting(tx, device)
            store.remove_device(tx, id)
            new = None
            if device.allowed:
                new = self._begin(tx, device.parent, device.computer, address)
            if new is None:
                return DeviceAnswer(state=DeviceState.DENIED, interval=POLL_SECONDS)
            return DeviceAnswer(state=DeviceState.ALLOWED, interval=POLL_SECONDS, session=new)

    def _still_waiting(self, tx: Tx, device: DeviceLogin) -> DeviceAnswer:
        now, state = self._clock.now(), DeviceState.PENDING
        least = timedelta(seconds=device.interval)
        polled = structs.replace(device, polled_at=now)
        if device.polled_at is not None and now - device.polled_at < least:
            state = DeviceState.SLOW_DOWN
            polled = structs.replace(polled, interval=device.interval + POLL_SECONDS)
        store.change_device(tx, polled)
        return DeviceAnswer(state=state, interval=polled.interval)

    def _waiting(self, sql: Connection, typed: str) -> DeviceLogin:
        """The command line with this code; raises without one, and after many wrong codes."""
        person = current().name.lower()
        self._wrong_codes.check(person)
        device = store.device_by_code(sql, hashed(plain_code(typed)))
        if device is None or device.expires_at <= self._clock.now():
            self._wrong_codes.failed(person)
            raise DeviceLoginNotFound(
                details="the code is wrong, was answered already, or is older than 10 minutes",
                remediation=LOG_IN_AGAIN,
            )
        return device

    def _begin(
        self, tx: Tx, parent: str | None, computer: str | None, address: str
    ) -> TerminalSession | None:
        """The session, with the rights of the one that allowed it; None if that has ended."""
        living = self._sessions.by_id(tx.sql, parent or "")
        if living is None:
            return None
        browser, allowed_by = living
        client = SessionClient(address, f"prism on {computer}")
        holder = allowed_by if allowed_by.token else None
        new = self._sessions.begin(
            tx,
            allowed_by.name.lower(),
            SessionMethod.TERMINAL,
            client,
            None,
            holder=holder,
            about={
                "parent": parent,
                "issuer": browser.issuer,  # so that it ends with a logout there
                "subject": browser.subject,
                "provider_session": browser.provider_session,
            },
        )
        return TerminalSession(
            session=new.session.id,
            user=new.session.user,
            token=f"{BEARER_PREFIX}{new.cookie}",
            expires_at=new.session.expires_at,
        )

    def _browser_session(self) -> str:
        """The session of the caller's browser: no token makes a login, which outlives it."""
        caller = current()
        if caller.session is None or caller.is_terminal:
            raise PermissionDenied(
                "Only a person in a browser may allow a login",
                remediation="Open /login in the browser",
            )
        return caller.session
