"""Chosen versions of packages: how long they are used, and what makes them invalid."""

import os
from pathlib import Path

import pytest

from prism.agent.packages.package_resolutions import Resolutions, resolution_key
from tests.optional import not_none

PACKAGES = ["pip", "good"]
PYTHON = "/usr/bin/python3"


@pytest.fixture
def uv(tmp_path):
    program = tmp_path / "uv"
    program.write_text("1")
    return program


def key(uv, packages=PACKAGES, environ=None, settings=()):
    return resolution_key(packages, PYTHON, str(uv), environ or {}, settings)


def test_resolution_is_used_for_an_hour_and_up_to_date_for_a_minute(tmp_path, monkeypatch):
    resolutions = Resolutions(tmp_path)
    clock = {"now": 1000.0}
    monkeypatch.setattr("prism.agent.packages.package_resolutions.time.time", lambda: clock["now"])
    assert resolutions.find("a") is None
    resolutions.store("a", "good==1", 1000.0)
    expected = {
        0.0: (True, True),
        59.0: (True, True),
        61.0: (True, False),
        3599.0: (True, False),
        3600.0: (False, False),
        -1.0: (False, False),  # the clock was set back
    }
    for elapsed, (usable, up_to_date) in expected.items():
        clock["now"] = 1000.0 + elapsed
        known = not_none(resolutions.find("a"))
        assert (known.is_usable, known.is_up_to_date) == (usable, up_to_date), elapsed
        assert known.pins == "good==1"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"at": "x", "pins": "y"}', '{"at": 1.0}'])
def test_unreadable_resolution_is_none(tmp_path, text):
    resolutions = Resolutions(tmp_path)
    resolutions.store("a", "good==1", 1000.0)
    (tmp_path / "resolutions" / "a.json").write_text(text)
    assert resolutions.find("a") is None


def test_other_packages_indexes_settings_and_programs_have_another_key(tmp_path, uv):
    settings = tmp_path / "uv.toml"
    settings.write_text("a")
    keys = {
        key(uv),
        key(uv, ["pip", "good==2"]),
        key(uv, environ={"UV_DEFAULT_INDEX": "https://one.example"}),
        key(uv, environ={"UV_DEFAULT_INDEX": "https://two.example"}),
        key(uv, settings=[str(settings)]),
    }
    settings.write_text("ab")
    keys.add(key(uv, settings=[str(settings)]))
    before = key(uv)
    replaced = Path(f"{uv}.new")
    replaced.write_text("2")
    os.replace(replaced, uv)
    keys.add(key(uv))
    assert key(uv) != before
    assert len(keys) == 7
    assert key(uv, environ={"LANG": "C"}) == key(uv), "uv does not choose by it"


@pytest.mark.parametrize("name", ["UV_FIND_LINKS", "UV_OFFLINE"])
def test_sources_that_change_by_themselves_are_asked_each_time(uv, name):
    assert key(uv, environ={name: "x"}) is None
