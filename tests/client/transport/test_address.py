"""The address of the daemon for a client equals that of the daemon's settings."""

import pytest

from prism.client.transport.address import DaemonAddress
from prism.settings import Settings


@pytest.mark.parametrize("home", ["/tmp/short", "~/somewhere", "/tmp/" + "long/" * 30])
def test_socket_path_equals_that_of_the_settings(home):
    address = DaemonAddress.read({"PRISM_HOME": home})
    assert address.socket == str(Settings.read({"PRISM_HOME": home}).socket)
    assert len(address.socket) < 108


def test_address_is_read_from_the_environment():
    address = DaemonAddress.read(
        {
            "PRISM_HOME": "/tmp/home",
            "PRISM_URL": "https://prism.example.org/",
            "PRISM_TOKEN": "t",
            "PRISM_PORT": "9000",
        }
    )
    assert (str(address), address.token, address.home) == (
        "https://prism.example.org",
        "t",
        "/tmp/home",
    )
    assert DaemonAddress("/tmp/home", port="9000").page == "http://localhost:9000"


def test_address_defaults_equal_those_of_the_settings(monkeypatch):
    monkeypatch.setenv("HOME", "/tmp/me")
    address, settings = DaemonAddress.read({}), Settings.read({})
    assert address.home == "/tmp/me/.prism"
    assert (address.socket, address.port) == (str(settings.socket), str(settings.port))


@pytest.mark.parametrize(
    ("content", "port"),
    [("8950\n", "8950"), ("", "8947"), ("x", "8947"), ("0", "8947"), ("99999", "8947")],
)
def test_port_is_the_one_that_the_daemon_kept_unless_chosen(tmp_path, content, port):
    (tmp_path / "port").write_text(content)
    address = DaemonAddress.read({"PRISM_HOME": str(tmp_path)})
    assert (address.port, address.page) == (port, f"http://localhost:{port}")
    assert DaemonAddress.read({"PRISM_HOME": str(tmp_path), "PRISM_PORT": "9000"}).port == "9000"


def test_empty_variables_count_as_unset(monkeypatch):
    monkeypatch.setenv("HOME", "/tmp/me")
    assert (
        DaemonAddress.read({"PRISM_HOME": "", "PRISM_URL": "", "PRISM_PORT": ""}).home
        == "/tmp/me/.prism"
    )


def test_env_file_of_the_home_supplies_unset_variables(tmp_path, monkeypatch):
    (tmp_path / "env").write_text("PRISM_PORT=9000\nPRISM_TOKEN=secret\nPRISM_HOME=/elsewhere\n")
    for name in ("PRISM_URL", "PRISM_PORT", "PRISM_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PRISM_HOME", str(tmp_path))
    address = DaemonAddress.read()
    assert (address.home, address.port, address.token) == (str(tmp_path), "9000", "secret")
    monkeypatch.setenv("PRISM_PORT", "9001")
    assert DaemonAddress.read().port == "9001"
    (tmp_path / "env").write_bytes(b"\xff")
    assert DaemonAddress.read().port == "9001", "a client ignores an unreadable file"
