"""Groups and subnets use the fixtures of launch prerequisites."""

from tests.providers.aws.prerequisites.conftest import (  # noqa: F401  fixtures
    cloud,
    consistent_aws,
    count_calls,
    make_prerequisites,
    prerequisites,
    prerequisites_clock,
)
