"""Lets people in with the accounts of this computer, whose passwords PAM checks."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from prism.kit.attempts import AttemptLimit
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.kit.limits import network_of
from prism.sessions.events import LoginFailed
from prism.sessions.groups import GroupRoles
from prism.sessions.model import (
    AccountRequest,
    AccountsUnavailable,
    LoginRefused,
    SessionClient,
    SessionMethod,
)
from prism.sessions.service import NewSession, SessionService

CHECK_COMMAND = (sys.executable, "-I", "-m", "prism.sessions.pam_check")
CHECK_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CHECK_SECONDS = 20.0  # PAM itself delays wrong answers by two or three
MOST_CHECKS = 8  # at the same time
MOST_WRONG_PASSWORDS, MOST_OF_ONE_ADDRESS = 10, 40
PASSWORDS_PERIOD = timedelta(minutes=15)
ACCOUNT_NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
PAM_FOLDERS = ("/etc/pam.d", "/usr/lib/pam.d")
INCLUDED = re.compile(r"^(?:@include|\w+\s+(?:include|substack))\s+(\S+)", re.M)
OTHER_MODULES = re.compile(r"pam_(sss|ldap|krb5|winbind|radius|exec|permit)\.so")
TRY_AGAIN = "Try again. Or ask the operator for a link: `prism login-link YOU@EXAMPLE.ORG`"


class AccountAnswer(Struct, frozen=True):
    """What PAM says of a name and a password; `uid` is None if there is no such account."""

    is_right: bool = False
    uid: int | None = None
    groups: tuple[str, ...] = ()
    is_expired: bool = False
    problem: str = ""


class AccountSettings(Struct, frozen=True, kw_only=True):
    """How PAM is asked, and whom it lets in."""

    service: str
    domain: str
    """An account `ada` is the person `ada@DOMAIN`."""
    groups: frozenset[str]
    """Whose members come in; rules for roles are elsewhere."""


class AccountLogin:
    """Logins with the accounts of this computer; `is_expected` knows members and invited people.

    An attempt counts before PAM answers, so that many at once do not count as one.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        sessions: SessionService,
        settings: AccountSettings,
        *,
        is_expected: Callable[[Connection, str], bool],
        group_roles: GroupRoles,
    ) -> None:
        self._db, self._sessions, self.settings = db, sessions, settings
        self._is_expected, self._group_roles = is_expected, group_roles
        self._of_account = AttemptLimit(clock, MOST_WRONG_PASSWORDS, PASSWORDS_PERIOD)
        self._of_address = AttemptLimit(clock, MOST_OF_ONE_ADDRESS, PASSWORDS_PERIOD)
        self._checks = asyncio.Semaphore(MOST_CHECKS)

    async def log_in(
        self, request: AccountRequest, browser: SessionClient, cookie: str | None
    ) -> NewSession:
        """Begin the session of who has this account; raises `LoginRefused`."""
        name = request.name.strip().lower().removesuffix(f"@{self.settings.domain}")
        if not ACCOUNT_NAME.fullmatch(name):
            raise wrong()
        computer = network_of(browser.address)
        self._of_account.check(name)
        self._of_address.check(computer)
        self._of_account.failed(name)
        self._of_address.failed(computer)
        answer = await self._check(name, request.password, browser.address)
        if answer.is_right:
            self._of_account.succeeded(name)
            self._of_address.withdraw(computer)
        return await asyncio.to_thread(self._admit, name, answer, browser, cookie)

    async def _check(self, name: str, password: str, address: str) -> AccountAnswer:
        try:
            async with asyncio.timeout(CHECK_SECONDS), self._checks:
                answer = await ask_pam(self.settings.service, name, password, address)
        except TimeoutError as error:
            raise AccountsUnavailable(
                details=f"PAM has not answered within {CHECK_SECONDS:g} seconds",
                remediation="Try again in a minute, or ask the operator of this daemon",
            ) from error
        if answer.problem:
            raise AccountsUnavailable(
                details=answer.problem, remediation="Ask the operator of this daemon"
            )
        return answer

    def _admit(
        self, name: str, answer: AccountAnswer, browser: SessionClient, cookie: str | None
    ) -> NewSession:
        person = f"{name}@{self.settings.domain}"
        if not answer.is_right:
            if answer.uid is not None:  # else somebody may have typed a password as the name
                with self._db.write() as tx:
                    tx.happened(LoginFailed.of(person, browser))
            raise expired() if answer.is_expired else wrong()
        with self._db.write() as tx:
            if not self._may_come_in(tx.sql, person, answer.groups):
                raise LoginRefused(
                    f"{person} may not use this daemon",
                    details="it is in no group that comes in, in no project, and not invited",
                    remediation="Ask the operator or an owner of a project for an invitation",
                )
            self._group_roles.follow(tx, person, answer.groups)
            return self._sessions.begin(tx, person, SessionMethod.ACCOUNT, browser, cookie)

    def _may_come_in(self, sql: Connection, person: str, groups: Collection[str]) -> bool:
        is_of_group = not self.settings.groups.isdisjoint(groups)
        return is_of_group or self._group_roles.gives(groups) or self._is_expected(sql, person)


async def ask_pam(service: str, name: str, password: str, address: str) -> AccountAnswer:
    """What PAM says, by a process that ends if this call is cancelled.

    Modules see the `address` of who logs in; a trusted proxy says it, and never the browser.
    A program that a module has put into a session of its own (`pam_exec`) ends by itself.
    """
    request = msgspec.json.encode(
        {"service": service, "name": name, "password": password, "address": address}
    )
    process = await asyncio.create_subprocess_exec(
        *CHECK_COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": CHECK_PATH},  # nothing of the daemon's settings, which have secrets
        cwd="/",
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate(request)
        return msgspec.json.decode(output, type=AccountAnswer)
    except msgspec.DecodeError:
        return AccountAnswer(problem="a module of PAM has crashed")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def wrong() -> LoginRefused:
    """The same problem for a wrong name and a wrong password."""
    return LoginRefused("The name or the password is wrong", remediation=TRY_AGAIN)


def expired() -> LoginRefused:
    """The problem if the password is right, and must be changed first."""
    return LoginRefused(
        "Your password has expired",
        remediation="Log in to the computer itself, such as by SSH, and choose a new password",
    )


def service_problem(service: str, uid: int, folders: Sequence[str] = PAM_FOLDERS) -> str | None:
    """Why a daemon of this user cannot check the accounts; None if nothing is known."""
    text = _service_text(service, folders, set())
    if text is None:
        return (
            f"nobody can log in with an account: PAM has no service {service!r} "
            f"(PRISM_PAM), which would be {folders[0]}/{service}"
        )
    if uid != 0 and "pam_unix.so" in text and not OTHER_MODULES.search(text):
        return (
            f"the daemon is not root, so PAM's service {service!r} (PRISM_PAM) lets it check "
            "the password of its own user only"
        )
    return None


def _service_text(service: str, folders: Sequence[str], read: set[str]) -> str | None:
    """What is in the file of a service, with those that it includes."""
    read.add(service)
    for folder in folders:
        with suppress(OSError, UnicodeDecodeError):
            text = Path(folder, service).read_text()
            names = [name for name in INCLUDED.findall(text) if name not in read]
            included = (_service_text(name, folders, read) or "" for name in names)
            return "\n".join((text, *included))
    return None
