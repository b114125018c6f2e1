"""The setup of an account, as its administrator runs it, over a double whose time stands still."""

from aws_double.double import AwsDouble
from prism.providers.aws.account.setup import apply
from prism.providers.aws.api.actions import SETUP_ACTIONS
from prism.providers.aws.api.cloud import Cloud

PROPAGATED = 2  # seconds after which the double shows everybody what was made


def administrator(aws: AwsDouble) -> Cloud:
    """Somebody who may make the role of machines, and for whom time passes while he waits."""
    clock = aws.clock
    return Cloud(
        "us-east-1", clock=clock, sleep=clock.advance, actions=SETUP_ACTIONS, agent="prism-setup"
    )


def set_up(aws: AwsDouble) -> None:
    """The account has the role of machines, and EC2 has heard of it."""
    apply(administrator(aws))
    aws.clock.advance(PROPAGATED)
