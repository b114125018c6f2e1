"""What a browser is told that opens an address of a shared daemon: a page that says what works."""

import pytest

from tests.shapes import failed

BROWSER = {
    "User-Agent": "Mozilla/5.0",
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
}
SAFARI_OF_OLD = {"User-Agent": "Mozilla/5.0", "Accept": "text/html,*/*;q=0.8"}


def page(answer, status):
    """The text of a page."""
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (
        status,
        "text/html",
    ), answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return answer.text


@pytest.mark.parametrize("browser", [BROWSER, SAFARI_OF_OLD], ids=["new", "old"])
@pytest.mark.parametrize(
    "path", ["/web-proxy/mine/", "/web-proxy/mine/lab?x=1", "/dcv-proxy/mine/"]
)
def test_a_browser_is_told_of_the_tunnel(team, path, browser):
    text = page(team(None, "GET", path, browser), 403)
    assert "<code>prism tunnel mine</code>" in text
    assert "<code>prism ssh mine</code>" in text
    with_token = page(team("operator", "GET", path, browser), 404)
    assert "mine" in with_token, "nobody of that name"


def test_one_that_shows_a_token_is_not_sent_to_an_address_that_knows_none(team):
    team.launch("member", "mine")
    team.daemon.settle()
    text = page(team("member", "GET", "/web-proxy/mine/", BROWSER), 403)
    assert "<code>prism tunnel mine</code>" in text


def test_the_address_of_a_workspace_says_so_too(team):
    own = {"Host": f"mine.localhost:{team.daemon.settings.port}"}
    assert "prism tunnel mine" in page(team(None, "GET", "/lab", BROWSER | own), 403)
    failed(team(None, "GET", "/lab", own), 403, "TUNNEL_NEEDED")


def test_programs_get_json(team):
    failed(team(None, "GET", "/web-proxy/mine/"), 401, "UNAUTHENTICATED")
    failed(team(None, "GET", "/api/v1/instances", BROWSER), 401, "UNAUTHENTICATED")
    failed(team(None, "GET", "/web-proxy/mine/", {"Accept": "*/*"}), 401, "UNAUTHENTICATED")


def test_what_is_in_an_address_is_no_html(team):
    text = page(team(None, "GET", "/web-proxy/%3Cscript%3E`id`/", BROWSER), 403)
    assert "script" not in text
    assert "<code>prism tunnel NAME</code>" in text
    lost = page(team("operator", "GET", "/no/%3Cscript%3E", BROWSER), 404)
    assert "<script" not in lost
