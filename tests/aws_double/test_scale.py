"""Many instances and many concurrent callers."""

import re
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.aws_double.boto import ACCOUNT, image, launch_instance

SIGNED = f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/us-east-1/ec2/aws4_request"


def raw_answer(url, form):
    """The raw answer; boto3 would take seconds to parse it."""
    request = urllib.request.Request(url, form.encode(), {"authorization": SIGNED})
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


def pages(url):
    token = ""
    while True:
        more = token and f"&NextToken={token}"
        text = raw_answer(url, f"Action=DescribeInstances&MaxResults=1000{more}")
        yield text
        if (next_token := re.search("<nextToken>(.*)</nextToken>", text)) is None:
            return
        token = next_token[1]


@pytest.mark.slow
def test_5000_instances_are_described_within_3_seconds(aws):
    kind = f"ImageId={image()}&InstanceType=t3.small&MinCount=1000&MaxCount=1000"
    tags = "".join(
        f"&TagSpecification.1.Tag.{n}.Key=prism:k{n}&TagSpecification.1.Tag.{n}.Value=v"
        for n in range(1, 11)
    )
    for _ in range(5):
        raw_answer(
            aws.url, f"Action=RunInstances&{kind}&TagSpecification.1.ResourceType=instance{tags}"
        )
    aws.clock.advance(5)
    list(pages(aws.url))  # every description is made once
    start = time.monotonic()
    texts = list(pages(aws.url))
    assert time.monotonic() - start < 3
    assert len(texts) == 5
    assert len({id for text in texts for id in re.findall("<instanceId>(.*?)<", text)}) == 5000
    assert all(text.count("<key>prism:k10</key>") == 1000 for text in texts)


def test_concurrent_launches_with_the_same_token_create_one_instance(aws, ec2):
    ami = image()
    with ThreadPoolExecutor(16) as threads:
        tokens = [str(n // 2) for n in range(200)]  # each one twice
        ids = list(
            threads.map(lambda it: launch_instance(ec2, ClientToken=it, ImageId=ami), tokens)
        )
    assert len(set(ids)) == 100
    assert ids[::2] == ids[1::2]
    assert len(aws.machines()) == 100
