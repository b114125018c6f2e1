"""What is said of calls to AWS that take long or fail: which, why and since when."""

import threading

import pytest

from aws_double.rulebook import build
from prism.errors import Unavailable
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.rate_limits import RateLimiter
from tests.waiting import eventually


class SlowCloud(Cloud):
    """A cloud whose pauses end when the test says so."""

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


def asked(cloud):
    """A call that goes on behind the scenes."""
    done = threading.Thread(target=cloud.call, args=("ec2", "DescribeRegions"))
    done.start()
    return done


def test_nothing_is_said_of_calls_that_go_well(aws, cloud):
    aws.clock.stop()
    cloud.call("ec2", "DescribeRegions")
    assert cloud.pending.reason() is None


def test_a_throttled_call_is_named_while_it_is_repeated(aws, slow_cloud):
    aws.clock.stop()
    aws.fault(action="DescribeRegions", do="throttle")
    call = asked(slow_cloud)
    assert slow_cloud.paused.wait(120)
    assert f"AWS throttles ec2:DescribeRegions since {aws.clock.now():%H:%M:%S}" in (
        slow_cloud.pending.reason()
    )
    slow_cloud.go_on.set()
    call.join(120)
    assert slow_cloud.pending.reason() is None


def test_a_call_without_an_answer_is_named_after_two_seconds(aws, cloud, monkeypatch):
    """Long before the library gives it up."""
    aws.clock.stop()
    entered, answer = threading.Event(), threading.Event()

    def hang(*_):
        entered.set()
        assert answer.wait(120)
        return {}

    monkeypatch.setattr(cloud, "_call_once", hang)
    call = asked(cloud)
    assert entered.wait(120)
    since = aws.clock.now()
    assert cloud.pending.reason() is None
    aws.clock.advance(2)
    sentence = f"AWS has not answered ec2:DescribeRegions since {since:%H:%M:%S} UTC"
    assert cloud.pending.reason() == sentence
    answer.set()
    call.join(120)
    eventually(lambda: cloud.pending.reason() is None)


def test_a_failure_is_said_until_the_same_call_goes_well(aws, cloud):
    aws.clock.stop()
    rules = aws.rules
    aws.fault(action="DescribeRegions", do="drop", times=None)
    first = aws.clock.now()
    for _ in range(2):
        with pytest.raises(Unavailable):
            cloud.call("ec2", "DescribeRegions")
        aws.clock.advance(60)
    sentence = f"AWS has not answered ec2:DescribeRegions since {first:%H:%M:%S} UTC"
    assert cloud.pending.reason() == sentence, "since the first of them"
    aws.rules = rules
    cloud.call("ec2", "DescribeVpcs")
    assert cloud.pending.reason() == sentence, "another call does not help"
    cloud.call("ec2", "DescribeRegions")
    assert cloud.pending.reason() is None


def test_a_failure_that_nobody_repeats_is_forgotten(aws, cloud):
    aws.clock.stop()
    aws.fault(action="DescribeRegions", do="drop", times=None)
    with pytest.raises(Unavailable):
        cloud.call("ec2", "DescribeRegions")
    aws.clock.advance(600)
    assert cloud.pending.reason() is None


def test_prices_delay_no_workspace(aws, cloud):
    aws.clock.stop()
    aws.fault(action="DescribeSpotPriceHistory", do="drop", times=None)
    with pytest.raises(Unavailable):
        cloud.call("ec2", "DescribeSpotPriceHistory")
    assert cloud.pending.reason() is None


def test_prism_says_that_it_holds_a_call_back_itself(aws, slow_cloud):
    aws.clock.stop()
    aws.rules = build({})
    # Its clock stands still: on a busy machine, a real one refills the bucket before the call.
    slow_cloud._budget = RateLimiter(lambda: 0.0, slow_cloud._sleep)
    slow_cloud._budget.drain("ec2:DescribeRegions")
    call = asked(slow_cloud)
    assert slow_cloud.paused.wait(120)
    aws.clock.advance(3)
    assert "ec2:DescribeRegions has been queued since" in slow_cloud.pending.reason()
    slow_cloud.go_on.set()
    call.join(120)
