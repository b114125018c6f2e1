"""Throttling of calls and of launched instances."""

from botocore.exceptions import ClientError

from tests.aws_double.boto import OTHER, client, order, refused, set_rules


def until_refused(call, most=2000):
    for count in range(most):
        try:
            call()
        except ClientError as error:
            return count, error.response
    raise AssertionError("never refused")


def test_describe_action_has_a_bucket_of_100_that_refills_20_per_second(aws, ec2):
    """RequestLimitExceeded when it is empty; requests for other APIs are not affected.

    Request throttling for the Amazon EC2 API
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
    """
    set_rules(aws, like="aws")
    count, refusal = until_refused(ec2.describe_key_pairs)
    assert count == 100
    assert refusal["Error"]["Code"] == "RequestLimitExceeded"
    assert refusal["ResponseMetadata"]["HTTPStatusCode"] == 503
    ec2.describe_vpcs()
    aws.clock.advance(1)
    assert until_refused(ec2.describe_key_pairs)[0] == 20
    aws.clock.advance(3600)
    assert until_refused(ec2.describe_key_pairs)[0] == 100


def test_launch_throttling_counts_instances(aws, ec2):
    """Resource rate limiting for RunInstances: 1000 tokens, 2 a second, one for each machine.

    Request throttling for the Amazon EC2 API
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
    """
    set_rules(aws, like="aws")
    ec2.run_instances(**order(MinCount=999, MaxCount=999))
    refused("RequestLimitExceeded", ec2.run_instances, **order(MinCount=2, MaxCount=2))
    ec2.run_instances(**order())
    aws.clock.advance(2)
    ec2.run_instances(**order(MinCount=4, MaxCount=4))
    refused("RequestLimitExceeded", ec2.run_instances, **order())
    assert len(aws.machines()) == 1004


def test_throttled_call_consumes_no_token(aws, ec2):
    """Tokens are removed for each request that is made within the limit.

    Request throttling for the Amazon EC2 API
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
    """
    set_rules(aws, throttle=[{"actions": ["Describe*"], "depth": 1, "refill": 1}])
    ec2.describe_vpcs()
    for _ in range(5):
        refused("RequestLimitExceeded", ec2.describe_vpcs)
    aws.clock.advance(1)
    ec2.describe_vpcs()


def test_throttling_is_per_account_and_region(aws, ec2):
    """EC2 throttles requests for each account on a per-Region basis.

    Request throttling for the Amazon EC2 API
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
    """
    set_rules(aws, throttle=[{"actions": ["*"], "depth": 1, "refill": 0.1}])
    ec2.describe_vpcs()
    refused("RequestLimitExceeded", ec2.describe_vpcs)
    client(aws, "ec2", "us-west-2").describe_vpcs()
    client(aws, "ec2", account=OTHER).describe_vpcs()
    client(aws, "sts").get_caller_identity()
