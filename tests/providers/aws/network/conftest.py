"""Groups and subnets are looked up as a launch does it."""

from tests.providers.aws.prerequisites.conftest import (  # noqa: F401  fixtures
    cloud,
    consistent,
    counted,
    ground_clock,
    make_ground,
    prerequisites,
)
