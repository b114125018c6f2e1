"""The reason that is shown while a call to AWS is slow or fails."""

import threading

import pytest

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.rate_limits import RateLimiter
from tests.waiting import eventually


class SlowCloud(Cloud):
    """A cloud whose pauses end when the test sets `go_on`."""

    def __init__(self, clock):
        self.go_on, self.paused = threading.Event(), threading.Event()
        super().__init__("us-east-1", clock=clock, sleep=self._wait)

    def _wait(self, _):
        self.paused.set()
        assert self.go_on.wait(120)


@pytest.fixture
def slow_cloud(aws):
    cloud = SlowCloud(aws.clock)
    yield cloud
    cloud.go_on.set()


def start_call(cloud):
    """Start a call in a thread."""
    done = threading.Thread(target=cloud.call, args=("ec2", "DescribeRegions"))
    done.start()
    return done


def test_successful_call_gives_no_reason(aws, cloud):
    aws.clock.stop()
    cloud.call("ec2", "DescribeRegions")
    assert cloud.pending.reason() is None


def test_throttled_call_is_named_while_it_is_repeated(aws, slow_cloud):
    aws.clock.stop()
    aws.fault(action="DescribeRegions", do="throttle")
    call = start_call(slow_cloud)
    assert slow_cloud.paused.wait(120)
    assert f"AWS throttles ec2:DescribeRegions since {aws.clock.now():%H:%M:%S}" in (
        slow_cloud.pending.reason()
    )
    slow_cloud.go_on.set()
    call.join(120)
    assert slow_cloud.pending.reason() is None


def test_unanswered_call_is_named_after_two_seconds(aws, cloud, monkeypatch):
    """This is long before boto3 gives up."""
    aws.clock.stop()
    entered, answer = threading.Event(), threading.Event()

    def hang(*_):
        entered.set()
        assert answer.wait(120)
        return {}

    monkeypatch.setattr(cloud, "_call_once", hang)
    call = start_call(cloud)
    assert entered.wait(120)
    since = aws.clock.now()
    assert cloud.pending.reason() is None
    aws.clock.advance(2)
    sentence = f"AWS has not answered ec2:DescribeRegions since {since:%H:%M:%S} UTC"
    assert cloud.pending.reason() == sentence
    answer.set()
    call.join(120)
    eventually(lambda: cloud.pending.reason() is None)


def test_failed_call_is_named_until_the_same_call_succeeds(aws, cloud):
    aws.clock.stop()
    rules = aws.rules
    aws.fault(action="DescribeRegions", do="drop", times=None)
    first = aws.clock.now()
    for _ in range(2):
        with pytest.raises(Unavailable):
            cloud.call("ec2", "DescribeRegions")
        aws.clock.advance(60)
    sentence = f"AWS has not answered ec2:DescribeRegions since {first:%H:%M:%S} UTC"
    assert cloud.pending.reason() == sentence, "since the first failure"
    aws.rules = rules
    cloud.call("ec2", "DescribeVpcs")
    assert cloud.pending.reason() == sentence, "another call changes nothing"
    cloud.call("ec2", "DescribeRegions")
    assert cloud.pending.reason() is None


def test_failed_call_is_forgotten_after_ten_minutes(aws, cloud):
    aws.clock.stop()
    aws.fault(action="DescribeRegions", do="drop", times=None)
    with pytest.raises(Unavailable):
        cloud.call("ec2", "DescribeRegions")
    aws.clock.advance(600)
    assert cloud.pending.reason() is None


def test_failed_price_call_gives_no_reason(aws, cloud):
    aws.clock.stop()
    aws.fault(action="DescribeSpotPriceHistory", do="drop", times=None)
    with pytest.raises(Unavailable):
        cloud.call("ec2", "DescribeSpotPriceHistory")
    assert cloud.pending.reason() is None


def test_call_queued_by_the_rate_limiter_is_named(aws, slow_cloud):
    aws.clock.stop()
    aws.rules = build({})
    # Its clock is stopped: on a busy machine, a real one refills the bucket before the call.
    slow_cloud._rate_limiter = RateLimiter(lambda: 0.0, slow_cloud._sleep)
    slow_cloud._rate_limiter.drain("ec2:DescribeRegions")
    call = start_call(slow_cloud)
    assert slow_cloud.paused.wait(120)
    aws.clock.advance(3)
    assert "ec2:DescribeRegions has been queued since" in slow_cloud.pending.reason()
    slow_cloud.go_on.set()
    call.join(120)
