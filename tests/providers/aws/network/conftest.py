"""Groups and subnets are looked up as a launch does it."""

from tests.providers.aws.prerequisites.conftest import (  # noqa: F401  fixtures
    cloud,
    consistent_aws,
    count_calls,
    make_prerequisites,
    prerequisites,
    prerequisites_clock,
)
