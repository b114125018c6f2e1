"""Every call of Prism to AWS goes through `Cloud.call`.

botocore's own retries are off. A throttled call had no effect and is repeated. A call that only
reads is repeated when there is no answer. Any other call may have had its effect although the
answer was lost: it raises `AwsUnavailable`, and the caller finds out, by repeating its token or by
a survey.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prism.errors import Problem
from prism.kit.clock import Clock, WallClock
from prism.providers.aws.api.actions import ACTIONS, reads
from prism.providers.aws.api.call_counts import AWS_CALLS
from prism.providers.aws.api.credentials import CredentialChain, LoginMethod, remedy
from prism.providers.aws.api.faults import (
    AwsRefused,
    AwsThrottled,
    AwsUnavailable,
    CredentialsMissing,
    fault_of_response,
    unanswered,
    untrusted,
)
from prism.providers.aws.api.paging import PAGE_SIZES, PAGING
from prism.providers.aws.api.pending_calls import PendingCall, PendingCalls
from prism.providers.aws.api.rate_limits import RateLimiter
from prism.providers.aws.api.tags import listed
from prism.providers.aws.api.unreadable import UnreadableItems
from prism.providers.aws.api.written_tags import WrittenTags

Answer = dict[str, Any]
CALL_TIMEOUT = 25.0  # seconds for one call with its retries; a lease lasts 60
READ_RETRIES = 2
CONNECT_TIMEOUT, READ_TIMEOUT = 3, 15  # seconds
THREADS = 32
SINGLE_REGION = {
    "freetier": "us-east-1",
    "pricing": "us-east-1",
}  # services with one endpoint for all regions


class Cloud:
    """One account and region of AWS; any number of threads may use it."""

    def __init__(
        self,
        region: str,
        aws_profile: str | None = None,
        *,
        rate_limiter: RateLimiter | None = None,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
        actions: frozenset[str] = ACTIONS,
        agent: str = "prism",
    ) -> None:
        """`aws_profile` is a section of AWS's files; None leaves the choice to boto3.

        `actions` are those that may be called: only the setup has others than the daily ones.
        `agent` is the name in the user agent, which AWS's log of calls (CloudTrail) shows.
        """
        self.region, self.aws_profile = region, aws_profile
        self.clock = clock or WallClock()
        self.changes = 0
        """The number of calls so far that may have changed something."""
        self.written = WrittenTags(self.clock)
        self.pending = PendingCalls(self.clock)
        self.unreadable = UnreadableItems()
        self._rate_limiter, self._sleep = rate_limiter or RateLimiter(), sleep
        self._actions, self._agent = actions, agent
        self._lock = threading.Lock()
        self._chain: CredentialChain | None = None
        self._clients: dict[str, Any] = {}

    def call(self, service: str, action: str, /, **arguments: Any) -> Answer:
        """Call `action`, as AWS names it, of `service`, as boto3 names it.

        A `DryRun` that would have succeeded returns an empty answer.
        """
        name = f"{service}:{action}"
        if name not in self._actions:
            raise LookupError(f"{name} is not in the list of actions, so no policy would allow it")
        if not reads(action):
            with self._lock:
                self.changes += 1
        with self.pending.asking(name) as pending:
            answer = self._call_with_retries(service, action, arguments, pending)
        self.written.note(action, arguments)
        return answer

    def pages(self, service: str, action: str, key: str, /, **arguments: Any) -> Iterator[Any]:
        """All items of the list `key` of the answer, on all pages."""
        paging, request = PAGING[service], dict(arguments)
        if not paging.names(arguments):
            request.setdefault(paging.size, PAGE_SIZES.get(action, paging.most))
        while True:
            answer = self.call(service, action, **request)
            yield from answer.get(key) or ()
            if not (token := answer.get(paging.next)):
                return
            request[paging.token] = token

    def wait(self, seconds: float) -> None:
        """Wait until AWS may show a change; for callers that cannot continue without it."""
        self._sleep(seconds)

    def tag(self, id: str, tags: Mapping[str, str]) -> None:
        """Write tags onto a resource of EC2."""
        self.call("ec2", "CreateTags", Resources=[id], Tags=listed(tags))

    def session(self) -> Any:
        """The boto3 session; made at its first use."""
        return self._credential_chain().session

    def credentials(self) -> Any:
        """The credentials, valid now; raises `CredentialsMissing` with the reason."""
        self.session()  # a subclass verifies the account
        chain = self._credential_chain()
        try:
            return chain.require()
        except CredentialsMissing:
            self._forget_session()
            raise

    def login_method(self) -> LoginMethod:
        """How the AWS profile logs in; makes no call."""
        return self._credential_chain().method()

    def _credential_chain(self) -> CredentialChain:
        with self._lock:
            if self._chain is None:
                self._chain = CredentialChain(self.aws_profile, self.region)
            return self._chain

    def _call_with_retries(
        self, service: str, action: str, arguments: Answer, pending: PendingCall
    ) -> Answer:
        name, until, tries = pending.action, time.monotonic() + CALL_TIMEOUT, 0
        while True:
            pending.in_queue = True
            self._rate_limiter.take(name, until - time.monotonic())
            pending.in_queue = False
            try:
                return self._call_counted(service, action, arguments)
            except (AwsThrottled, AwsUnavailable) as away:
                pending.problem = away
                pause = self._delay(name, away, tries)
                if pause is None or time.monotonic() + pause > until:
                    raise
            self._sleep(pause)
            tries += 1

    def _call_counted(self, service: str, action: str, arguments: Answer) -> Answer:
        name = f"{service}:{action}"
        try:
            answer = self._call_once(service, action, arguments)
        except Problem as problem:
            AWS_CALLS.add(name, problem)
            raise
        AWS_CALLS.add(name)
        return answer

    def _delay(self, name: str, away: AwsThrottled | AwsUnavailable, tries: int) -> float | None:
        """The seconds before the next try; None if there is none."""
        if isinstance(away, AwsThrottled):
            self._rate_limiter.drain(name)
            return random.uniform(0.2, 0.5) * (1 << min(tries, 4))
        if not reads(name.partition(":")[2]) or tries >= READ_RETRIES:
            return None
        return random.uniform(0.1, 0.3) * (1 << tries)

    def _call_once(self, service: str, action: str, arguments: Answer) -> Answer:
        from botocore import xform_name  # noqa: PLC0415  cold start, as above
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  the same
        from botocore.parsers import ResponseParserError  # noqa: PLC0415  the same

        name = f"{service}:{action}"
        self.credentials()
        try:
            answer: Answer = getattr(self._client(service), xform_name(action))(**arguments)
        except ClientError as error:
            fault = fault_of_response(name, error.response)
            if fault.aws_code == "DryRunOperation":
                return {}
            if isinstance(fault, CredentialsMissing):
                if service in SINGLE_REGION:  # credentials of another partition are invalid there
                    raise AwsRefused(fault.message, details=fault.details) from error
                fault.remediation = remedy(self.login_method())
                self._forget_session()
            raise fault from error
        except BotoCoreError as error:
            raise self._problem_of(name, error) from error
        except ResponseParserError as error:  # a proxy answered, not AWS
            raise unanswered(name, str(error)) from error
        return answer

    def _problem_of(self, name: str, error: Exception) -> Exception:
        """The problem for an error that came before AWS's answer; another error stays as it is."""
        from botocore import exceptions as they  # noqa: PLC0415  cold start, as above

        expired_meanwhile = (
            they.NoCredentialsError,
            they.PartialCredentialsError,
            they.CredentialRetrievalError,
            they.TokenRetrievalError,
            they.SSOError,
            they.LoginError,
            they.RefreshWithMFAUnsupportedError,
        )
        if isinstance(error, expired_meanwhile):
            problem = self._credential_chain().failure(error)
            self._forget_session()
            return problem
        if isinstance(error, they.SSLError):
            return untrusted(name, str(error))
        connection_errors = (they.HTTPClientError, they.ConnectionError, they.IncompleteReadError)
        return unanswered(name, str(error)) if isinstance(error, connection_errors) else error

    def _forget_session(self) -> None:
        """Load credentials again at the next call: a client never reloads its own."""
        with self._lock:
            self._chain, self._clients = None, {}

    def _client(self, service: str) -> Any:
        if (client := self._clients.get(service)) is not None:
            return client
        from botocore.config import Config  # noqa: PLC0415  cold start, as above

        session = self.session()
        settings = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"total_max_attempts": 1},
            max_pool_connections=THREADS,
            user_agent_extra=self._agent,
        )
        with self._lock:  # creating a client is not thread-safe; using it is
            if (client := self._clients.get(service)) is None:
                region = SINGLE_REGION.get(service, self.region)
                client = session.client(service, region_name=region, config=settings)
                current = self._chain.session if self._chain else None
                if session is current:  # else the credentials were changed meanwhile
                    self._clients[service] = client
            return client
