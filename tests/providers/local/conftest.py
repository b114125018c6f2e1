"""A home for local machines, which is empty again afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.providers.local.world import World


@pytest.fixture(scope="session")
def package_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the whole run: the first install is a cold one, the others are warm."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def world(tmp_path: Path, package_cache: Path) -> Iterator[World]:
    world = World(tmp_path, package_cache)
    yield world
    world.close()
