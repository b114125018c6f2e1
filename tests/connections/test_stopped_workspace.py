"""Connections to a workspace that does not run are refused with its state and a remedy."""

import json

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

# A page of another site leads there: what a person opens wakes a hibernated workspace.
LOOKS = {
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
    "sec-fetch-site": "cross-site",
}
TYPED = (
    ("connect", "bare"),
    ("open", "bare"),
    ("tunnel", "bare", "80"),
    ("ssh", "bare"),
    ("exec", "bare", "--", "true"),
    ("cp", "bare:file", "."),
)


def refused(answer):
    assert answer.status_code == 409, answer.text
    return answer.json()["error"]


def refused_handshake(url, **more):
    """The error of a refused WebSocket handshake."""
    with pytest.raises(InvalidStatus) as no, connect(url, proxy=None, **more):
        pass
    assert no.value.response.status_code == 409
    return json.loads(no.value.response.body)["error"]


def errors_for_programs(site):
    """Every way for a program to connect, with the error."""
    at = f"ws://127.0.0.1:{site.port}"
    yield "connect", refused(site.http.get("/api/v1/instances/bare/connect"))
    yield "ports", refused(site.http.get("/api/v1/instances/bare/ports?port=80"))
    for browser in ({}, {"user-agent": "Mozilla/5.0"}):
        yield "path", refused(site.http.get("/web-proxy/bare/", headers=browser))
    yield "desktop", refused(site.http.get("/dcv-proxy/bare/"))
    yield "origin", refused(site.ask("GET", "/", "bare"))
    yield "terminal", refused_handshake(f"{at}/ssh-proxy/bare")
    yield "socket on the path", refused_handshake(f"{at}/web-proxy/bare/echo")
    own = {"origin": f"http://{site.host('bare')}"}
    address = ("127.0.0.1", site.port)
    url = f"ws://{site.host('bare')}/echo"
    yield "socket", refused_handshake(url, additional_headers=own, address=address)


def pages_for_browsers(site):
    """The answers to a browser."""
    yield site.ask("GET", "/", "bare", LOOKS)
    yield site.navigate("/web-proxy/bare/", LOOKS | {"user-agent": "Mozilla/5.0"})


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("down", "state", "allowed", "hint"),
    [
        ("stop", "stopped", ["start", "terminate"], "Start it: `prism start bare`"),
        pytest.param(
            *("hibernate", "hibernated", ["start", "resume", "terminate"], "`prism resume bare`"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_connections_to_a_stopped_workspace_are_refused_with_a_remedy(
    served_daemon, down, state, allowed, hint
):
    client = served_daemon.home.client.workspaces
    getattr(client, down)("bare", wait=30)
    try:
        for way, error in errors_for_programs(served_daemon):
            assert (error["code"], error["message"]) == (
                "INVALID_STATE",
                f"Workspace 'bare' is {state}",
            ), way
            assert error["data"] == {"state": state, "allowed": allowed}, way
            assert error["details"].endswith(f"possible: {', '.join(allowed)}"), way
            assert error["remediation"].endswith(hint), way
        for words in TYPED:
            done = served_daemon.home.cli(*words)
            assert (done.returncode, done.stdout) == (1, ""), words
            assert f"error: Workspace 'bare' is {state}" in done.stderr, words
            assert done.stderr.endswith(f"{hint}\n"), words
        for page in pages_for_browsers(served_daemon):
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert "default-src 'none'" in page.headers["content-security-policy"]
            command = hint.split("`")[1]
            assert (page.status_code, f"<code>{command}</code>" in page.text) == (409, True)
            link = f'<a href="http://localhost:{served_daemon.port}/workspaces/bare">'
            assert link in page.text
            assert "<p>You can connect only while it is running" in page.text
    finally:
        client.start("bare", wait=30)
