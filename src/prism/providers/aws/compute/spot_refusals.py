"""Why EC2 refuses to stop or to start a spot machine, and what is possible instead."""

from datetime import datetime, timedelta

from prism.errors import Unavailable
from prism.kit.clock import Clock
from prism.providers.aws.api import tags as names
from prism.providers.aws.api.faults import AwsRefused, CapacityUnavailable, code_of
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.compute.spot_requests import SpotRequests
from prism.workspaces.ports import ProviderRefused

WRONG_STATE = "IncorrectSpotRequestState"
UNSUPPORTED = "UnsupportedOperation"
SETTLES = timedelta(minutes=10)
"""How long a request may lag behind its machine: AWS's documents speak of two minutes for
Linux and five for Windows (EC2 User Guide, "Troubleshoot Amazon EC2 instance hibernation")."""


class SpotRequestCancelled(ProviderRefused, code="SPOT_REQUEST_CANCELLED"):
    """EC2 cannot stop a spot machine whose request was cancelled; it can only be terminated."""


class SpotRefusals:
    """Explains a refusal by the state of the machine's spot request."""

    def __init__(self, requests: SpotRequests, clock: Clock) -> None:
        self._requests, self._clock = requests, clock
        self._unsettled: dict[str, datetime] = {}  # since when a request's state has lagged

    def settled(self, id: str) -> None:
        """Forget the lag of this machine's request: EC2 has accepted a call."""
        self._unsettled.pop(id, None)

    def to_stop(
        self, instance: Ec2Instance | None, error: AwsRefused
    ) -> ProviderRefused | Unavailable:
        """The problem that a refused stop means."""
        if (
            instance is None
            or not instance.spot_request
            or code_of(error) not in {WRONG_STATE, UNSUPPORTED}
        ):
            return error
        if self._requests.state_of(instance.spot_request) in {"cancelled", "closed"}:
            name = instance.tags.get(names.OUR_NAME, instance.id)
            return SpotRequestCancelled(
                "Its spot request was cancelled, so EC2 cannot stop it. It runs and costs money "
                "until you terminate it: copy what you need with "
                f"`prism cp`, then `prism terminate {name}`",
                details=error.details,
            )
        return self._explain(instance, error)

    def to_start(
        self, instance: Ec2Instance | None, error: AwsRefused
    ) -> ProviderRefused | Unavailable:
        """The problem that a refused start means."""
        if instance is None or code_of(error) != WRONG_STATE:
            return error
        if instance.spot_request and self._requests.state_of(instance.spot_request) != "open":
            return self._explain(instance, error)
        return CapacityUnavailable(
            "EC2 stopped the spot machine, and only EC2 starts it again, when it has capacity",
            details=error.details,
            remediation="Wait; or destroy it and keep a snapshot of its disk: "
            "`prism workspace terminate --help`",
        )

    def _explain(self, instance: Ec2Instance, error: AwsRefused) -> ProviderRefused | Unavailable:
        if code_of(error) != WRONG_STATE:
            return error
        now = self._clock.now()
        if now >= self._unsettled.setdefault(instance.id, now) + SETTLES:
            self._unsettled.pop(instance.id)
            return error
        return Unavailable(
            f"EC2 has not brought the spot request of {instance.id} up to date yet, "
            "which takes about two minutes after a stop",
            details=error.details,
        )
