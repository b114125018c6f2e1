"""Why EC2 refuses to stop or to start a spot machine, and what is possible instead."""

from datetime import datetime, timedelta

from prism.errors import Unavailable
from prism.kit.clock import Clock
from prism.providers.aws import tags as names
from prism.providers.aws.faults import AwsRefused, CapacityUnavailable, said
from prism.providers.aws.instance import Instance
from prism.providers.aws.requests import SpotRequests
from prism.workspaces.ports import Refused

WRONG_STATE = "IncorrectSpotRequestState"
UNSUPPORTED = "UnsupportedOperation"
SETTLES = timedelta(minutes=10)
"""How long a request may take to follow its machine: AWS's documents speak of two minutes for
Linux and five for Windows (EC2 User Guide, "Troubleshoot Amazon EC2 instance hibernation")."""


class SpotRequestCancelled(Refused, code="SPOT_REQUEST_CANCELLED"):
    """EC2 stops no spot machine whose request was cancelled; it can only be terminated."""


class SpotRefusals:
    """Reads a refusal by looking at the request that the machine comes from."""

    def __init__(self, requests: SpotRequests, clock: Clock) -> None:
        self._requests, self._clock = requests, clock
        self._unsettled: dict[str, datetime] = {}  # since when a request has been in between

    def settled(self, id: str) -> None:
        """EC2 has accepted something about this machine."""
        self._unsettled.pop(id, None)

    def to_stop(self, it: Instance | None, no: AwsRefused) -> Refused | Unavailable:
        """What a refused stop means."""
        if it is None or not it.spot_request or said(no) not in {WRONG_STATE, UNSUPPORTED}:
            return no
        if self._requests.state_of(it.spot_request) in {"cancelled", "closed"}:
            name = it.tags.get(names.OUR_NAME, it.id)
            return SpotRequestCancelled(
                "Its spot request was cancelled, and EC2 stops no machine whose request was. It "
                "runs on, and costs its price, until it is terminated: take what you need with "
                f"`prism cp`, then `prism terminate {name}`",
                details=no.details,
            )
        return self._in_between(it, no)

    def to_start(self, it: Instance | None, no: AwsRefused) -> Refused | Unavailable:
        """What a refused start means."""
        if it is None or said(no) != WRONG_STATE:
            return no
        if it.spot_request and self._requests.state_of(it.spot_request) != "open":
            return self._in_between(it, no)
        return CapacityUnavailable(
            "EC2 took the spot machine back, and EC2 alone starts it again, once it has room",
            details=no.details,
            remediation="Wait for it; or end it and keep its disk: "
            "`prism workspace terminate --help`",
        )

    def _in_between(self, it: Instance, no: AwsRefused) -> Refused | Unavailable:
        if said(no) != WRONG_STATE:
            return no
        now = self._clock.now()
        if now >= self._unsettled.setdefault(it.id, now) + SETTLES:
            self._unsettled.pop(it.id)
            return no
        return Unavailable(
            f"EC2 has not brought the spot request of {it.id} up to date yet, which takes about "
            "two minutes after a stop",
            details=no.details,
        )
