"""The folder of a home, and the links on the way to it."""

import os

import pytest

from prism.home import HomeNotTrusted, folder_of, link_of_another


@pytest.fixture
def links(tmp_path):
    """A link to a folder, and a link to that link."""
    folder, first, second = (tmp_path / name for name in ("folder", "first", "second"))
    folder.mkdir()
    first.symlink_to(folder)
    second.symlink_to("first")
    return folder, first, second


def test_own_links_are_followed_to_the_real_path(links, monkeypatch):
    folder, first, second = links
    monkeypatch.setenv("HOME", str(second))
    for path in (first, second):
        assert folder_of(f"{path}/home") == f"{folder}/home"
        assert link_of_another(str(path)) is None
    assert folder_of("~/.prism") == f"{folder}/.prism"


def test_links_without_an_end_are_no_error(tmp_path):
    (tmp_path / "round").symlink_to("round")
    assert link_of_another(str(tmp_path / "round" / "home")) is None
    assert folder_of(str(tmp_path / "round" / "home"))


@pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root: only root can give a link to somebody else"
)
@pytest.mark.parametrize("foreign", [1, 2])
def test_link_of_another_user_is_refused_wherever_it_is(links, foreign):
    os.lchown(links[foreign], 12345, 12345)
    with pytest.raises(HomeNotTrusted, match=f"{links[foreign]}, on the way") as refusal:
        folder_of(f"{links[2]}/home")
    assert f"{links[0]}/home" in (refusal.value.remediation or "")
