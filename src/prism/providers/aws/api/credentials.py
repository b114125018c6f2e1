"""The credentials of an AWS profile: botocore's chain, which asks nobody, and its failures.

botocore runs programs, reads files and calls other services of AWS for credentials, and raises
whatever went wrong there. Here each such failure becomes one problem with botocore's own words
and with the command that helps. Roles use the cache of AWS's command line (`~/.aws/cli/cache`),
so one code of an MFA device serves both programs.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from prism.errors import Problem
from prism.providers.aws.api.faults import (
    AwsThrottled,
    AwsUnavailable,
    CredentialsMissing,
    fault_of_response,
    unanswered,
    untrusted,
)

# They log what a credential process writes, which may be a secret; we report each failure.
TALKATIVE = ("botocore.credentials", "botocore.tokens")
CACHE = "~/.aws/cli/cache"
CHAIN_TIMEOUT = 20.0  # seconds for the whole chain; one call to AWS with its retries has 25
MOST_WORDS = 300  # characters of a program's or botocore's own message
# Long words with letters and digits; a path begins with a slash, and is none.
SECRET = re.compile(r"(?<![\w/+=-])(?!/)(?=[\w/+=-]*\d)(?=[\w/+=-]*[A-Za-z])[\w/+=-]{32,}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
# Beside botocore's own: a program that is not there, or writes no JSON, or an answer without keys.
RAISED_BY_PROVIDERS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
LoginKind = Literal["login", "sso", "mfa", "process", "other"]


class LoginMethod(Struct, frozen=True, kw_only=True):
    """How a profile of AWS's files logs in: `profile` is the one of the chain that does it."""

    kind: LoginKind
    profile: str
    serial: str = ""  # of the MFA device
    program: str = ""  # the credential process
    region: str = ""  # of IAM Identity Center
    role: str = ""  # the ARN of the role that the profile assumes, with its path

    @property
    def command(self) -> tuple[str, ...]:
        """The command of AWS's own command line that logs in; empty if there is none."""
        words = {"login": ("aws", "login"), "sso": ("aws", "sso", "login")}.get(self.kind, ())
        return (*words, "--profile", self.profile) if words else ()


# botocore's exceptions about AWS's files: another login does not help against them.
CORRECT_FILES = "Correct AWS's files, such as ~/.aws/config; Prism then continues by itself"
WRONG_FILES = frozenset(
    {
        "ConfigNotFound",
        "ConfigParseError",
        "InfiniteLoopConfigError",
        "InvalidConfigError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "UnknownCredentialError",
    }
)


class CodeNeeded(Exception):
    """The role needs a code of an MFA device, which only a person can read."""


def login_method(
    profiles: Mapping[str, Mapping[str, Any]],
    profile: str,
    sso_sessions: Mapping[str, Mapping[str, Any]] | None = None,
) -> LoginMethod:
    """The login of a profile: its own, or that of the profiles from which it gets its role."""
    role = profiles.get(profile, {}).get("role_arn", "")
    return replace(_first_login(profiles, profile, sso_sessions or {}), role=role)


def _first_login(
    profiles: Mapping[str, Mapping[str, Any]],
    profile: str,
    sso_sessions: Mapping[str, Mapping[str, Any]],
) -> LoginMethod:
    seen: set[str] = set()
    name = profile
    while name not in seen:
        seen.add(name)
        section = profiles.get(name, {})
        if serial := section.get("mfa_serial"):
            return LoginMethod(kind="mfa", profile=profile, serial=serial)
        if "sso_session" in section or "sso_start_url" in section:
            named = sso_sessions.get(section.get("sso_session", ""), section)
            return LoginMethod(kind="sso", profile=name, region=named.get("sso_region", ""))
        if "login_session" in section:
            return LoginMethod(kind="login", profile=name)
        if program := section.get("credential_process"):
            return LoginMethod(kind="process", profile=name, program=program)
        name = section.get("source_profile", name)
    return LoginMethod(kind="other", profile=profile)


def remedy(method: LoginMethod) -> str:
    """The command that helps if this login does not work."""
    if method.kind == "mfa":
        return f"Enter the code of your device: `prism aws login --aws-profile {method.profile}`"
    if method.command:
        return f"Log in again: `{' '.join(method.command)}`; Prism then continues by itself"
    if method.kind == "process":
        return (
            f"Run the `credential_process` of the AWS profile {method.profile!r} yourself: it "
            "must print credentials; Prism then continues by itself"
        )
    return "See what is missing with `prism doctor`"


class CredentialChain:
    """The boto3 session of an AWS profile, and its credentials; any thread may use it."""

    _running: dict[str | None, "_Attempt"] = {}  # noqa: RUF012  one for all chains of a profile
    _lock = threading.Lock()

    def __init__(
        self,
        aws_profile: str | None,
        region: str | None,
        code: Callable[[], str] | None = None,
        timeout: float = CHAIN_TIMEOUT,
    ) -> None:
        """`code` returns the code of an MFA device; without it such a role asks nobody."""
        import boto3  # noqa: PLC0415  cold start: 0.3 s, only for AWS
        import botocore.session  # noqa: PLC0415  the same
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  the same

        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._aws_profile, self._timeout, self._code = aws_profile, timeout, code
        self._core = botocore.session.Session(profile=aws_profile)
        self._credentials: Any = None
        try:
            self._use_cache()
            self.session = boto3.Session(botocore_session=self._core, region_name=region)
        except BotoCoreError as error:  # no file has the profile, or a file is malformed
            raise self.failure(error) from error

    def require(self) -> Any:
        """The credentials, loaded or renewed if they must be; raises if there are none.

        A program or a service that does not answer is not asked a second time beside the first.
        """
        known = self._credentials
        if known is not None and not getattr(known, "refresh_needed", _never)():
            return known
        with self._lock:
            attempt = self._running.get(self._aws_profile)
            if attempt is None or attempt.done.is_set():
                attempt = self._running[self._aws_profile] = _Attempt(self)
        if not attempt.done.wait(max(0.0, attempt.began + self._timeout - time.monotonic())):
            raise self._unfinished()
        is_own = attempt.chain is self
        if attempt.error is not None and (is_own or self._code is None):
            raise self.failure(attempt.error) from attempt.error
        # Another chain of the same profile loaded its own credentials, or had no code.
        return self._credentials if is_own else self.require()

    def failure(self, error: Exception) -> Problem:
        """The problem for an exception of the chain."""
        from botocore import exceptions as they  # noqa: PLC0415  cold start, as above

        if isinstance(error, Problem):
            return error
        if isinstance(error, they.ClientError):
            return self._refused(error)
        if isinstance(error, they.SSLError):
            return untrusted("credentials", scrubbed(str(error)))
        if isinstance(error, they.HTTPClientError | they.ConnectionError):
            return unanswered("credentials", scrubbed(str(error)))
        return self._missing(self._words(error), type(error).__name__)

    def method(self) -> LoginMethod:
        """How this profile logs in; `other` if AWS's files cannot be read."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  cold start, as above

        try:
            name = self._core.get_config_variable("profile") or "default"
            config = self._core.full_config
            return login_method(config.get("profiles", {}), name, config.get("sso_sessions"))
        except BotoCoreError:
            return LoginMethod(kind="other", profile=self._aws_profile or "default")

    def _use_cache(self) -> None:
        """Do as AWS's command line: keep the credentials of roles in its folder."""
        from botocore.utils import JSONFileCache  # noqa: PLC0415  cold start, as above

        chain = self._core.get_component("credential_provider")
        role = chain.get_provider("assume-role")
        role.cache = JSONFileCache(str(Path(CACHE).expanduser()))
        # The default asks on the terminal from which the daemon was started (decision 050).
        role._prompter = self._prompt

    def _prompt(self, text: str) -> str:
        if self._code is None:
            raise CodeNeeded(text.removeprefix("Enter ").rstrip(": "))
        return self._code()

    def load(self) -> None:
        """Run botocore's chain, without a time limit; raises whatever went wrong in it."""
        credentials = self.session.get_credentials()
        if credentials is None:
            from botocore.exceptions import NoCredentialsError  # noqa: PLC0415  cold start

            raise NoCredentialsError
        credentials.get_frozen_credentials()
        self._credentials = credentials

    def _refused(self, error: Any) -> Problem:
        """What AWS answered to a call of the chain, such as AssumeRole."""
        fault = fault_of_response(f"credentials:{error.operation_name}", error.response)
        if isinstance(fault, AwsThrottled | AwsUnavailable):
            return fault
        return self._missing(str(error), fault.aws_code)

    def _words(self, error: Exception) -> str:
        from botocore.exceptions import MissingDependencyException  # noqa: PLC0415  cold start

        if isinstance(error, CodeNeeded):
            return f"it needs the {error}"
        if isinstance(error, MissingDependencyException):
            return "it needs the Python package awscrt, which is not installed beside Prism"
        if isinstance(error, FileNotFoundError | PermissionError):
            return f"{error.strerror}: {error.filename}"
        return str(error) or type(error).__name__

    def _missing(self, words: str, code: str) -> CredentialsMissing:
        text, method = scrubbed(words), self.method()
        whose = f"of the AWS profile {self._aws_profile!r}" if self._aws_profile else "of AWS"
        advice = CORRECT_FILES if code in WRONG_FILES else remedy(method)
        problem = CredentialsMissing(
            f"The login {whose} does not work: {text}", details=code, remediation=advice
        )
        problem.aws_code = code
        return problem

    def _unfinished(self) -> Problem:
        method = self.method()
        if method.kind == "process":
            program = scrubbed(method.program)
            return self._missing(
                f"its credential_process has not ended for {self._timeout:.0f} s: {program}",
                "CredentialProcessHangs",
            )
        return unanswered("credentials", f"no answer for {self._timeout:.0f} s")


class _Attempt:
    """A run of a chain in its own thread, because no time limit reaches into it."""

    def __init__(self, chain: CredentialChain) -> None:
        self.chain, self.done, self.began = chain, threading.Event(), time.monotonic()
        self.error: Exception | None = RuntimeError("they could not be loaded")
        threading.Thread(target=self._run, name="aws credentials", daemon=True).start()

    def _run(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  cold start

        try:
            self.chain.load()
            self.error = None
        except (BotoCoreError, ClientError, Problem, CodeNeeded, *RAISED_BY_PROVIDERS) as error:
            self.error = error
        finally:
            self.done.set()


def scrubbed(text: str) -> str:
    """A message without control characters, and without what looks like a key or a token."""
    return SECRET.sub("…", CONTROL.sub(" ", text)).strip()[:MOST_WORDS]


def _never() -> bool:
    return False
