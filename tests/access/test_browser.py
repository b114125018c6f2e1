"""A browser that opens an address of a shared daemon gets a page with the command that works."""

import pytest

from tests.shapes import failed

BROWSER = {
    "User-Agent": "Mozilla/5.0",
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
}
OLD_SAFARI = {"User-Agent": "Mozilla/5.0", "Accept": "text/html,*/*;q=0.8"}


def page(answer, status):
    """The text of a page."""
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (
        status,
        "text/html",
    ), answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return answer.text


@pytest.mark.parametrize("browser", [BROWSER, OLD_SAFARI], ids=["new", "old"])
@pytest.mark.parametrize(
    "path", ["/web-proxy/mine/", "/web-proxy/mine/lab?x=1", "/dcv-proxy/mine/"]
)
def test_proxy_page_names_the_tunnel_command_for_browsers(team, path, browser):
    text = page(team(None, "GET", path, browser), 403)
    assert "<code>prism tunnel mine</code>" in text
    assert "<code>prism ssh mine</code>" in text
    with_token = page(team("operator", "GET", path, browser), 404)
    assert "mine" in with_token, "no workspace of that name"


def test_proxy_page_names_the_tunnel_command_when_the_browser_sends_a_token(team):
    team.launch("member", "mine")
    team.daemon.settle()
    text = page(team("member", "GET", "/web-proxy/mine/", BROWSER), 403)
    assert "<code>prism tunnel mine</code>" in text


def test_workspace_host_name_answers_with_the_tunnel_command(team):
    own = {"Host": f"mine.localhost:{team.daemon.settings.port}"}
    assert "prism tunnel mine" in page(team(None, "GET", "/lab", BROWSER | own), 403)
    failed(team(None, "GET", "/lab", own), 403, "TUNNEL_NEEDED")


def test_refusal_is_json_for_programs_and_for_the_api(team):
    failed(team(None, "GET", "/web-proxy/mine/"), 401, "UNAUTHENTICATED")
    failed(team(None, "GET", "/api/v1/instances", BROWSER), 401, "UNAUTHENTICATED")
    failed(team(None, "GET", "/web-proxy/mine/", {"Accept": "*/*"}), 401, "UNAUTHENTICATED")


def test_proxy_page_contains_no_html_from_the_path(team):
    text = page(team(None, "GET", "/web-proxy/%3Cscript%3E`id`/", BROWSER), 403)
    assert "script" not in text
    assert "<code>prism tunnel NAME</code>" in text
    lost = page(team("operator", "GET", "/no/%3Cscript%3E", BROWSER), 404)
    assert "<script" not in lost
