"""`AwsVolumes` over the double of AWS, with a stopped clock."""

import pytest

from aws_double.double import AwsDouble
from prism.providers.aws.api.cloud import Cloud
from tests.providers.aws.storage.world import AwsParts


@pytest.fixture
def aws_parts(stopped_aws: AwsDouble, cloud: Cloud) -> AwsParts:
    return AwsParts(stopped_aws, cloud)
