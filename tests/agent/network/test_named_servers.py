"""The indexes and proxies on this computer that a user's settings name."""

from ipaddress import ip_address

import pytest

from prism.agent.network.named_servers import names_in, servers_on_this_computer

NAMES = names_in("127.0.0.1 localhost\n10.1.1.1 lab.example lab  # own\n10.9.9.9 mirror\n")
OWN = [ip_address("127.0.0.1"), ip_address("10.1.1.1")]


def named(settings="", **variables):
    """The servers on this computer."""
    return servers_on_this_computer(variables, settings, NAMES, OWN)


@pytest.mark.parametrize(
    ("variables", "ports"),
    [
        ({"UV_DEFAULT_INDEX": "http://127.0.0.1:3141/lab/index"}, [3141]),
        ({"UV_INDEX": "corp=https://user:pass@localhost/simple http://[::1]:8080/x"}, [443, 8080]),
        ({"https_proxy": "127.0.0.1:3128", "HTTP_PROXY": "http://localhost:3129"}, [3128, 3129]),
        ({"ALL_PROXY": "socks5://127.0.0.1"}, [1080]),
        ({"UV_INDEX_URL": "https://index.example/simple", "http_proxy": ""}, []),
        ({"OTHER": "http://127.0.0.1:22"}, []),
        ({"UV_INDEX_URL": "http://127.0.0.1:99999/"}, []),
    ],
)
def test_ports_on_loopback_are_those_that_variables_name(variables, ports):
    assert named(**variables) == (ports, False)


def test_settings_file_is_read_too():
    assert named('[[index]]\nurl = "http://127.0.0.1:3141/simple"\n').ports == [3141]


@pytest.mark.parametrize("host", ["10.1.1.1", "lab.example", "lab"])
def test_server_at_another_address_of_this_computer_is_noticed(host):
    assert named(UV_INDEX_URL=f"http://{host}:3141/simple") == ([], True)


def test_servers_elsewhere_are_not_on_this_computer():
    assert named(UV_INDEX_URL="http://mirror:3141/simple") == ([], False)
