"""Calls wait for the rate limit of their action, so that AWS does not throttle them."""

import pytest

from prism.providers.aws.api.faults import AwsThrottled
from prism.providers.aws.api.rate_limits import RateLimiter


class Time:
    def __init__(self):
        self.now, self.slept = 0.0, []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def rate_limiter(time):
    return RateLimiter(lambda: time.now, time.sleep)


def take(rate_limiter, times, name="ec2:RunInstances", most=1000):
    for _ in range(times):
        rate_limiter.take(name, most)


def test_full_bucket_allows_a_burst_and_then_a_constant_rate(rate_limiter, time):
    take(rate_limiter, 4)
    assert time.slept == []
    take(rate_limiter, 19)
    assert time.now == pytest.approx(10)


def test_bucket_refills_up_to_its_capacity(rate_limiter, time):
    take(rate_limiter, 4)
    time.now += 3600
    take(rate_limiter, 4)
    assert time.slept == []
    take(rate_limiter, 1)
    assert time.slept == [pytest.approx(1 / 1.9)]


def test_each_action_has_its_own_bucket(rate_limiter, time):
    take(rate_limiter, 4)
    take(rate_limiter, 90, "ec2:DescribeInstances")
    take(rate_limiter, 90, "ec2:DescribeVolumes")
    take(rate_limiter, 4, "ec2:StartInstances")
    assert time.slept == []


def test_call_that_would_wait_too_long_is_refused_and_takes_no_token(rate_limiter, time):
    take(rate_limiter, 4)
    with pytest.raises(AwsThrottled):
        rate_limiter.take("ec2:RunInstances", 0.1)
    take(rate_limiter, 1)
    assert time.slept == [pytest.approx(1 / 1.9)]


def test_drained_bucket_delays_the_next_call(rate_limiter, time):
    take(rate_limiter, 1, "ec2:GetConsoleOutput")
    assert time.slept == []
    rate_limiter.drain("ec2:GetConsoleOutput")
    take(rate_limiter, 1, "ec2:GetConsoleOutput")
    assert time.slept == [pytest.approx(1 / 19)]
