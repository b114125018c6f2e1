"""Parsing and writing of labels, ports and origins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prism.connections.model import InvalidPort, PortRequest
from prism.connections.plan import label, only_port, origin, port_of, port_request

WORDS = st.text("abcxyz019", min_size=1, max_size=8)
NAMES = st.lists(WORDS, min_size=1, max_size=5).map("-".join)


@given(NAMES, st.none() | st.integers(1, 65535), st.booleans())
def test_label_of_a_port_request_parses_to_the_same_request(name, port, tls):
    request = PortRequest(name, port, tls=tls and port is not None)
    assert port_request(label(request)) == request
    assert len(label(request)) <= 63, "a label of a host name has at most 63 characters"


@pytest.mark.parametrize("text", ["1", "80", "8888", "65535"])
def test_valid_port_is_parsed(text):
    assert port_of(text) == int(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "65536", "99999", "100000", "-1", "+80", " 80", "80 ", "080", "8_0", "1e3"),
        *("80.0", "0x50", "eighty", "80\n", "\u0668\u0660", "80,81", "9" * 5000),
    ],
)
def test_invalid_port_is_rejected(text):
    with pytest.raises(InvalidPort) as refused:
        port_of(text)
    assert len(refused.value.details) <= 80


def test_several_ports_in_a_query_are_rejected():
    assert only_port([]) is None
    assert only_port(["80"]) == 80
    with pytest.raises(InvalidPort):
        only_port(["80", "80"])


@pytest.mark.parametrize("word", ["0--mine", "65536--mine", "tls-0--mine", "00080--mine"])
def test_label_with_an_invalid_port_is_rejected(word):
    with pytest.raises(InvalidPort):
        port_request(word)


@pytest.mark.parametrize("word", ["mine", "a--b", "tls--mine", "x80--mine", "--mine", "tls-x--m"])
def test_label_without_a_port_is_a_workspace_name(word):
    assert port_request(word) == PortRequest(word)


def test_origin_contains_label_and_port():
    assert origin(PortRequest("mine"), ":8947") == "http://mine.localhost:8947"
    assert origin(PortRequest("mine", 80), "") == "http://80--mine.localhost"
    assert origin(PortRequest("mine", 8443, tls=True), ":1") == "http://tls-8443--mine.localhost:1"
