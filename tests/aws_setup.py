"""The setup of an account, as its administrator runs it, on a double with a stopped clock."""

from aws_double.double import AwsDouble
from prism.providers.aws.account.setup import apply
from prism.providers.aws.api.actions import SETUP_ACTIONS
from prism.providers.aws.api.cloud import Cloud

PROPAGATED = 2  # seconds until the double lists new resources in all calls


def administrator(aws: AwsDouble) -> Cloud:
    """An administrator who can create the role of machines; a wait advances the clock."""
    clock = aws.clock
    return Cloud(
        "us-east-1", clock=clock, sleep=clock.advance, actions=SETUP_ACTIONS, agent="prism-setup"
    )


def set_up(aws: AwsDouble) -> None:
    """Creates the role of machines, and waits until EC2 lists it."""
    apply(administrator(aws))
    aws.clock.advance(PROPAGATED)
