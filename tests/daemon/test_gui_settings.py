"""The settings of the web GUI, which the daemon keeps."""

import pytest

from prism.daemon.gui_settings import GuiSettings, GuiSettingsFile
from tests.conftest import Http
from tests.shapes import failed

SETTINGS_URL = "/api/v1/daemon/gui"


@pytest.fixture
def gui(make_daemon, tmp_path):
    return Http(make_daemon(home=str(tmp_path)).app)


def test_settings_are_kept_by_name(gui, tmp_path):
    assert gui("GET", SETTINGS_URL).json() == {"values": {}}
    for values in ({"theme": "dark"}, {"density": "compact"}, {"theme": "light"}):
        assert gui("PUT", SETTINGS_URL, json={"values": values}).status_code == 200
    assert gui("GET", SETTINGS_URL).json() == {"values": {"theme": "light", "density": "compact"}}
    assert GuiSettingsFile(tmp_path).read().values["theme"] == "light", "for the next daemon"


def test_size_of_the_settings_is_limited(gui):
    for values in ({"x" * 65: ""}, {"x": "y" * 65537}, {"": "x"}, {"x": 1}):
        failed(gui("PUT", SETTINGS_URL, json={"values": values}), 422, "VALIDATION_FAILED")
    many = {f"{number}": "" for number in range(64)}
    assert gui("PUT", SETTINGS_URL, json={"values": many}).status_code == 200
    failed(gui("PUT", SETTINGS_URL, json={"values": {"one more": ""}}), 422, "VALIDATION_FAILED")
    assert gui("GET", SETTINGS_URL).json() == {"values": many}


def test_unreadable_file_counts_as_no_settings(tmp_path):
    (tmp_path / "gui.json").write_text("{")
    assert GuiSettingsFile(tmp_path).read() == GuiSettings()
