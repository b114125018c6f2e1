"""Which requests at a published port come from pages that are not the workspace's."""

import pytest

from prism.agent.network.foreign_requests import MOST_HEAD_BYTES, head_of, is_foreign

PORTS = {8888, 8501}


def request(*lines, method="GET"):
    text = "\r\n".join([f"{method} /api HTTP/1.1", *lines, "", ""])
    return text.encode()


OWN: tuple[list[str], ...] = (
    ["Host: 127.0.0.1:8888"],
    ["Host: localhost:8888", "Sec-Fetch-Site: none"],
    ["Host: localhost:9999", "Origin: http://localhost:9999"],  # through `ssh -L 9999:…`
    ["Host: 127.0.0.1:8888", "Origin: http://127.0.0.1:8501"],  # another port of the workspace
    ["Host: 127.0.0.1:8888", "Sec-Fetch-Site: same-site", "Referer: http://127.0.0.1:8501/page"],
    ["Host: 127.0.0.1:8888", "Sec-Fetch-Site: same-origin"],
    [],
)
FOREIGN = (
    ["Host: evil.example:8888"],  # DNS rebinding
    ["Host: 127.0.0.1.evil.example"],
    ["Host: 127.0.0.1:8888", "Host: evil.example"],
    ["Host: 127.0.0.1:8888", "Origin: http://evil.example"],
    ["Host: 127.0.0.1:8888", "Origin: null"],
    ["Host: 127.0.0.1:8888", "Origin: http://other.localhost:8947"],
    ["Host: 127.0.0.1:8888", "Origin: http://127.0.0.1:8947"],
    ["Host: 127.0.0.1:8888", "Origin: http://127.0.0.1:8501.evil.example"],
    ["Host: 127.0.0.1:8888", "Origin: http://127.0.0.1:8888", "Origin: http://evil.example"],
    ["Host: 127.0.0.1:8888", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"],
    ["Host: 127.0.0.1:8888", "Sec-Fetch-Site: same-site", "Referer: http://127.0.0.1:8000/"],
    [
        *("Host: 127.0.0.1:8888", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"),
        "Sec-Fetch-Dest: iframe",
    ],
)
LINK = [
    *("Host: 127.0.0.1:8888", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"),
    "Sec-Fetch-Dest: document",
]


@pytest.mark.parametrize("lines", OWN)
def test_request_of_a_program_or_of_the_workspaces_own_page_is_not_foreign(lines):
    assert not is_foreign(request(*lines), PORTS)


@pytest.mark.parametrize("lines", FOREIGN)
def test_request_of_another_page_is_foreign(lines):
    assert is_foreign(request(*lines), PORTS)
    assert is_foreign(request(*lines).lower().replace(b"get /api http", b"GET /api HTTP"), PORTS)


def test_link_from_another_page_can_be_followed_but_not_posted_to():
    assert not is_foreign(request(*LINK), PORTS)
    assert is_foreign(request(*LINK, method="POST"), PORTS)


@pytest.mark.parametrize("sent", [b"", b"SSH-2.0-x\r\n", b"GET key\r\n", b"\0\1", b"PING\r\n"])
def test_other_protocols_have_no_head(sent):
    assert head_of(sent) == b""


def test_head_is_complete_at_its_end_or_at_the_limit():
    whole = request("Host: x")
    assert {head_of(whole[:at]) for at in range(1, len(whole))} == {None}
    assert head_of(whole + b"body") == whole
    endless = b"GET /" + b"x" * MOST_HEAD_BYTES
    assert is_foreign(head_of(endless) or b"", PORTS)
