"""What a launch says while packages are installed, from uv itself."""

import re

from tests.providers.local.world import World, page

TOLD = r"packages: (2 chosen|2, \d+ of at least [1-9]\d* MiB downloaded|installing 2)"


def test_an_installation_says_how_many_packages_and_how_much_of_them(tmp_path):
    """With a cache of its own, so that they are downloaded; the console has each figure."""
    world = World(tmp_path, tmp_path / "cache")
    id = world.launched(page(packages={"pip": ("six",)}))
    log = world.log(id, "console")
    figures = re.findall(r"starting: (packages: .+)", log)
    assert figures, log
    assert all(re.fullmatch(TOLD, figure) for figure in figures), figures
    world.close()
