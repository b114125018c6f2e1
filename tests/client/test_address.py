"""Where a client looks for the daemon is where the settings say that it listens."""

import pytest

from prism.client.address import DaemonAddress
from prism.settings import Settings


@pytest.mark.parametrize("home", ["/tmp/short", "~/somewhere", "/tmp/" + "long/" * 30])
def test_the_socket_is_where_the_daemon_opens_it(home):
    place = DaemonAddress.read({"PRISM_HOME": home})
    assert place.socket == str(Settings.read({"PRISM_HOME": home}).socket)
    assert len(place.socket) < 108


def test_the_environment_decides():
    place = DaemonAddress.read(
        {
            "PRISM_HOME": "/tmp/home",
            "PRISM_URL": "https://prism.example.org/",
            "PRISM_TOKEN": "t",
            "PRISM_PORT": "9000",
        }
    )
    assert (str(place), place.token, place.home) == ("https://prism.example.org", "t", "/tmp/home")
    assert DaemonAddress("/tmp/home", port="9000").page == "http://localhost:9000"


def test_nothing_said_means_the_defaults_of_the_settings(monkeypatch):
    monkeypatch.setenv("HOME", "/tmp/me")
    place, settings = DaemonAddress.read({}), Settings.read({})
    assert place.home == "/tmp/me/.prism"
    assert (place.socket, place.port) == (str(settings.socket), str(settings.port))


def test_empty_is_as_good_as_nothing(monkeypatch):
    monkeypatch.setenv("HOME", "/tmp/me")
    assert (
        DaemonAddress.read({"PRISM_HOME": "", "PRISM_URL": "", "PRISM_PORT": ""}).home
        == "/tmp/me/.prism"
    )


def test_the_file_in_the_home_is_asked_where_the_environment_says_nothing(tmp_path, monkeypatch):
    (tmp_path / "env").write_text("PRISM_PORT=9000\nPRISM_TOKEN=secret\nPRISM_HOME=/elsewhere\n")
    for name in ("PRISM_URL", "PRISM_PORT", "PRISM_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PRISM_HOME", str(tmp_path))
    place = DaemonAddress.read()
    assert (place.home, place.port, place.token) == (str(tmp_path), "9000", "secret")
    monkeypatch.setenv("PRISM_PORT", "9001")
    assert DaemonAddress.read().port == "9001"
    (tmp_path / "env").write_bytes(b"\xff")
    assert DaemonAddress.read().port == "9001", "the daemon refuses it; a client goes on"
