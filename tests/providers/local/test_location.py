"""The identity of a home: a moved home is taken into use, a copy of a living one is refused."""

import shutil

import pytest

from prism.providers.local import location
from prism.providers.local.location import (
    HomeIsCopy,
    HomeUnreadable,
    earlier_location,
    location_of,
    machine_of_this,
    read_record,
    settle_home,
)


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    assert settle_home(folder, list) is None
    return folder


def settle(folder, *earlier):
    return settle_home(folder, lambda: earlier)


def test_identity_stays_when_a_home_is_moved(home):
    identity, moved = location_of(home), home.with_name("moved")
    home.rename(moved)
    assert settle(moved) == f"the home was {home}, and is {moved} now"
    assert location_of(moved) == identity
    assert settle(moved) is None, "the second start there finds nothing new"


def test_identity_stays_on_another_computer(home, monkeypatch):
    identity = location_of(home)
    monkeypatch.setattr(location, "machine_of_this", lambda: "another")
    assert settle(home) == f"the home was {home} on another computer, and is {home} here"
    assert location_of(home) == identity
    record = read_record(home)
    assert record is not None and record.machine == "another"


def test_copy_of_a_home_that_still_exists_is_refused_and_the_original_is_not(home):
    copy = shutil.copytree(home, home.with_name("copy"))
    with pytest.raises(HomeIsCopy, match=f"{copy} is a copy of {home}") as refusal:
        settle(copy)
    assert f"PRISM_HOME={copy} prism new-identity" in (refusal.value.remediation or "")
    assert settle(home) is None
    shutil.rmtree(home)
    assert settle(copy) is not None, "without the original it is a home that was moved"


def test_home_with_a_link_at_its_old_place_is_no_copy(home):
    moved = home.with_name("moved")
    home.rename(moved)
    home.symlink_to(moved)
    assert settle(moved) is not None


def test_other_home_at_the_old_place_is_no_original(home):
    moved = home.with_name("moved")
    home.rename(moved)
    settle(home)
    assert settle(moved) is not None
    assert location_of(home) != location_of(moved)


def test_copy_made_by_an_older_prism_is_refused_while_the_original_exists(tmp_path):
    original, copy = tmp_path / "original", tmp_path / "copy"
    for folder in (original, copy):
        folder.mkdir()
        (folder / "state.db").touch()
    rows = earlier_location(machine_of_this(), original)
    with pytest.raises(HomeIsCopy):
        settle(copy, rows)
    assert read_record(copy) is None, "a refused start changes nothing"
    assert settle(original, rows) is None
    elsewhere = earlier_location("another computer", original)
    assert settle(copy, elsewhere) is None, "what is at that path on this computer is another home"


def test_damaged_identity_is_an_error_with_a_way_out(home):
    (home / "home.json").write_text("{")
    with pytest.raises(HomeUnreadable, match=r"home\.json cannot be read"):
        settle(home)
