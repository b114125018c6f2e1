"""What the provider asks of the double of AWS, and with what it asks."""

import pytest

from prism.providers.aws.cloud import Cloud


@pytest.fixture(scope="session")
def acquainted():
    """What a session has learnt of boto3, which takes a quarter of a second to learn."""
    return {}


@pytest.fixture
def cloud(aws, acquainted):
    """A cloud whose time is the double's, and which waits for nobody."""
    it = Cloud("us-east-1", clock=aws.clock, sleep=lambda _: None)
    it._clients = acquainted.setdefault(aws.url, {})
    return it


@pytest.fixture
def somebody(aws):
    """Somebody else in the account, whom Prism's policy does not bind."""
    return Cloud("us-east-1", clock=aws.clock, sleep=lambda _: None, agent="somebody")
