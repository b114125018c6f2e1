"""A place with volumes, over the double, with its clock stopped."""

import pytest

from tests.providers.aws.storage.world import Place


@pytest.fixture
def place(stopped, cloud):
    return Place(stopped, cloud)
