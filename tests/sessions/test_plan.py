"""What a browser is called, and where it keeps a session."""

import pytest

from prism.sessions.plan import LONGEST_BROWSER, browser_name, cookie_problem

AGENTS = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0": "Edge on Windows",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
    "Safari/537.36": "Chrome on Linux",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.0 Safari/605.1.15": "Safari on macOS",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1": "Chrome on iPhone",
    "curl/8.14": "curl/8.14",
    "": "unknown",
}


@pytest.mark.parametrize("agent", AGENTS)
def test_browser_and_system_are_named(agent):
    assert browser_name(agent) == AGENTS[agent]


def test_unknown_browser_is_short_and_printable():
    assert browser_name("\x1b[31m" + "x" * 500) == ("[31m" + "x" * 500)[:LONGEST_BROWSER]


@pytest.mark.parametrize(
    ("host", "url", "keeps"),
    [
        ("prism.example.org", "https://prism.example.org", True),
        ("prism.example.org:8443", "https://prism.example.org:8443", True),
        ("prism.example.org", "http://prism.example.org", False),
        ("prism.example.org:8443", "https://prism.example.org", False),
        ("prism--abc.localhost:8947", "", True),
        ("localhost:8947", "http://localhost:8947", False),
        ("[::1]:8947", "", False),
        ("127.0.0.1", "", False),
        ("", "", False),
    ],
)
def test_session_is_kept_only_where_no_other_program_gets_it(host, url, keeps):
    assert (cookie_problem(host, url) is None) is keeps
