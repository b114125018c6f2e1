"""Which addresses a workspace reaches in each mode."""

from ipaddress import ip_address, ip_network

import pytest

from prism.agent.network.reachable_addresses import (
    Destination,
    addresses_of_this_computer,
    destinations,
    reachable,
    resolvers_in,
)

OWN = [ip_address("203.0.113.9"), ip_address("10.1.1.1"), ip_address("127.0.0.1")]


def refused(mode, address):
    """Whether the mode refuses an address without exceptions."""
    policy = reachable(mode, computer=OWN, resolvers=())
    return any(ip_address(address) in network for network in policy.refused)


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.170.2", "169.254.170.23", "168.63.129.16"),
        *("100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254", "fe80::1"),
        *("::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1"),
        *("203.0.113.9", "10.1.1.1"),
    ],
)
def test_metadata_services_and_own_addresses_are_always_refused(address):
    assert all(refused(mode, address) for mode in ("lan", "internet", "isolated"))


@pytest.mark.parametrize("address", ["10.2.0.7", "192.168.1.5", "172.31.0.2", "fd12::7"])
def test_private_addresses_are_refused_outside_of_lan(address):
    assert [refused(mode, address) for mode in ("lan", "internet")] == [False, True]


@pytest.mark.parametrize("address", ["198.51.100.7", "100.63.0.1", "2001:db8::7"])
def test_public_addresses_are_refused_in_isolated_only(address):
    assert [refused(mode, address) for mode in ("internet", "isolated")] == [False, True]


def test_name_servers_are_allowed_for_names_alone():
    resolver = ip_address("169.254.169.254")
    policy = reachable("internet", computer=OWN, resolvers=[resolver])
    assert [port for _, port in policy.allowed] == [53, 853]
    assert reachable("isolated", computer=OWN, resolvers=[resolver]).allowed == ()


def test_destinations_are_read_with_and_without_ports():
    read = destinations("10.2.0.7:5432, 10.3.0.0/16 [fd00::7]:443,fd00:1::/64")
    assert read == (
        Destination(ip_network("10.2.0.7"), 5432),
        Destination(ip_network("10.3.0.0/16")),
        Destination(ip_network("fd00::7"), 443),
        Destination(ip_network("fd00:1::/64")),
    )


def test_addresses_of_this_computer_include_its_loopback():
    assert ip_address("127.0.0.1") in addresses_of_this_computer()


def test_resolvers_are_read_with_and_without_an_interface():
    text = "# x\nnameserver 10.0.0.2\n nameserver fe80::1%eth0\nsearch lab\nnameserver nonsense\n"
    assert resolvers_in(text) == [ip_address("10.0.0.2"), ip_address("fe80::1")]
