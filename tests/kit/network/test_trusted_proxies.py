"""Whom a request is from, behind proxies."""

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest

from prism.kit.network.trusted_proxies import Reading, TrustedProxies, reading

PROXIES = [ip_network("127.0.0.1/32"), ip_network("10.0.0.0/24"), ip_network("fd00::/64")]
UNKNOWN = Reading(None, None)


def headers(**named: str) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (headers(), UNKNOWN),
        (
            headers(x_forwarded_for="203.0.113.7", x_forwarded_proto="https"),
            Reading("203.0.113.7", True),
        ),
        (headers(x_forwarded_for="198.51.100.1, 203.0.113.7"), Reading("203.0.113.7", None)),
        (
            headers(x_forwarded_for="198.51.100.1, 203.0.113.7, 10.0.0.9"),
            Reading("203.0.113.7", None),
        ),
        (headers(x_forwarded_for="10.0.0.8, 10.0.0.9"), Reading("10.0.0.8", None)),
        (headers(x_forwarded_for="203.0.113.7, nonsense, 10.0.0.9"), Reading("10.0.0.9", None)),
        (headers(x_forwarded_for="[2001:db8::1]:4711"), Reading("2001:db8::1", None)),
        (headers(x_forwarded_for="203.0.113.7:80"), Reading("203.0.113.7", None)),
        (headers(x_forwarded_for="::ffff:203.0.113.7"), Reading("203.0.113.7", None)),
        (headers(x_forwarded_proto="https, http"), Reading(None, False)),
        (headers(x_forwarded_proto="javascript"), UNKNOWN),
        (headers(forwarded="for=203.0.113.7;proto=https"), Reading("203.0.113.7", True)),
        (
            headers(forwarded='for="[2001:db8::1]:4711";proto=https;by=10.0.0.1'),
            Reading("2001:db8::1", True),
        ),
        (
            headers(forwarded="for=198.51.100.1;proto=https, for=203.0.113.7;proto=http"),
            Reading("203.0.113.7", False),
        ),
        (headers(forwarded="for=203.0.113.7;for=198.51.100.1"), UNKNOWN),
        (headers(forwarded="for=_hidden;proto=https"), Reading(None, True)),
        # Caddy and nginx write the former, and pass on the latter as their client sent it.
        (
            headers(
                forwarded="for=127.0.0.1;proto=https",
                x_forwarded_for="203.0.113.7",
                x_forwarded_proto="http",
            ),
            Reading("203.0.113.7", False),
        ),
    ],
)
def test_last_address_that_is_no_proxys_is_the_client(sent, expected):
    assert reading(sent, PROXIES) == expected


def scope_after(peer: str, kind: str = "http", **named: str) -> dict[str, Any]:
    """The scope that the application gets."""
    scope: dict[str, Any] = {
        "type": kind,
        "scheme": "http" if kind == "http" else "ws",
        "client": (peer, 4711),
        "headers": headers(**named),
    }

    async def app(*_: object) -> None:
        pass

    asyncio.run(TrustedProxies(app, PROXIES)(scope, None, None))  # type: ignore[arg-type]
    return scope


@pytest.mark.parametrize(("kind", "secure"), [("http", "https"), ("websocket", "wss")])
def test_only_a_trusted_peer_is_believed(kind, secure):
    forwarded = {"x_forwarded_for": "203.0.113.7", "x_forwarded_proto": "https"}
    for peer in ("127.0.0.1", "10.0.0.200", "::ffff:10.0.0.1", "fd00::5"):
        believed = scope_after(peer, kind, **forwarded)
        assert (believed["client"][0], believed["scheme"]) == ("203.0.113.7", secure)
    for peer in ("10.0.1.1", "203.0.113.9", "fd00:0:0:1::5", ""):
        ignored = scope_after(peer, kind, **forwarded, forwarded="for=127.0.0.1;proto=https")
        assert ignored["client"][0] == peer
        assert ignored["scheme"] == ("http" if kind == "http" else "ws")
