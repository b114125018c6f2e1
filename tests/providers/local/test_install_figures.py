"""The progress of a package installation, as uv reports it."""

import re

from tests.providers.local.world import World, page

PROGRESS = r"packages: (2 chosen|2, \d+ of at least [1-9]\d* MiB downloaded|installing 2)"


def test_console_shows_the_number_and_size_of_packages_during_installation(tmp_path):
    """The test has its own cache, so that packages are downloaded."""
    world = World(tmp_path, tmp_path / "cache")
    id = world.launched(page(packages={"pip": ("six",)}))
    log = world.log(id, "console")
    figures = re.findall(r"starting: (packages: .+)", log)
    assert figures, log
    assert all(re.fullmatch(PROGRESS, figure) for figure in figures), figures
    world.close()
