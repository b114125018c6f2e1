"""Which requests the gate admits, the same for HTTP, server-sent events and WebSocket."""

import asyncio
from datetime import UTC, datetime

import pytest

from prism.kit.clock import StoppedClock
from prism.kit.gate import Gate

HOST = "localhost:8947"
OWN = "http://localhost:8947"
SITE = "mine.localhost:8947"
CROSS = {"sec-fetch-site": "cross-site"}
LINK = CROSS | {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
ADMITTED = [
    {"host": HOST},
    {"host": "127.0.0.1:8947"},
    {"host": "[::1]:8947"},
    {"host": "LOCALHOST:8947"},
    {"host": HOST, "origin": OWN},
    {"host": "[::1]:8947", "origin": "http://[::1]:8947"},
    {"host": HOST, "origin": OWN, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"},
    {"host": HOST, "sec-fetch-site": "none"},
    {"host": HOST, "referer": "https://evil.example/"},  # only a hint, and often absent
]
HOST_ATTACKS = [
    {"host": "evil.example:8947"},  # DNS rebinding: the attacker's name with our address
    {"host": "evil.example"},
    {"host": "localhost"},
    {"host": "localhost:80"},
    {"host": "localhost:08947"},
    {"host": "localhost:89470"},
    {"host": "localhost.:8947"},
    {"host": "localhost.evil.com:8947"},
    {"host": "localhost.localhost.evil.com:8947"},
    {"host": "evil-localhost:8947"},
    {"host": "user@localhost:8947"},
    {"host": "localhost:8947@evil.example"},
    {"host": "127.0.0.1.evil.example:8947"},
    {"host": "[::ffff:127.0.0.1]:8947"},
    {"host": "[::ffff:7f00:1]:8947"},
    {"host": "[0:0:0:0:0:0:0:1]:8947"},
    {"host": "[::]:8947"},
    {"host": "::1:8947"},
    {"host": "0.0.0.0:8947"},
    {"host": "127.1:8947"},
    {"host": "127.0.0.2:8947"},
    {"host": "0177.0.0.1:8947"},  # octal
    {"host": "0x7f.0.0.1:8947"},
    {"host": "2130706433:8947"},  # decimal
    {"host": "017700000001:8947"},
    {"host": ""},
    {"host": ":8947"},
    {"host": f"{HOST}, evil.example"},
    {"host": f"{HOST} evil.example"},
    {"host": "local\u00adhost:8947".encode("latin-1")},
    {"host": ".localhost:8947"},
    {"host": "a.b.localhost:8947"},
    {"host": "-a.localhost:8947"},
    {"host": "a_b.localhost:8947"},
    {"host": f"{'a' * 64}.localhost:8947"},
    {"host": "mine.localhost:80"},
    {"host": "mine.localhost"},
    {"host": "mine.localhost.evil.com:8947"},
]
HOSTLESS = [
    {},
    {"host": [HOST, "evil.example"]},  # two headers, of which each parser may use another one
    {"host": ["evil.example", HOST]},
    {"host": [HOST, HOST]},
]
ORIGIN_ATTACKS = [
    {"host": HOST, "origin": "https://evil.example"},
    {"host": HOST, "origin": "null"},  # a sandboxed frame, a file
    {"host": HOST, "origin": ""},
    {"host": HOST, "origin": "http://localhost"},
    {"host": HOST, "origin": "http://localhost:3000"},
    {"host": HOST, "origin": "https://localhost:8947"},
    {"host": HOST, "origin": "http://127.0.0.1:8947"},  # ours, but not the requested one
    {"host": HOST, "origin": f"http://{SITE}"},  # a page that a workspace serves
    {"host": HOST, "origin": f"{OWN}.evil.example"},
    {"host": HOST, "origin": f"{OWN}/"},
    {"host": HOST, "origin": f"{OWN} https://evil.example"},
    {"host": HOST, "origin": [OWN, "https://evil.example"]},
    {"host": HOST, "origin": "chrome-extension://abcdef"},
    {"host": HOST, "origin": OWN} | CROSS,
    {"host": HOST, "origin": "https://evil.example"} | LINK,  # a form that posts
    {"host": HOST} | CROSS,
    {"host": HOST, "sec-fetch-site": ""},
    {"host": HOST, "sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    {"host": HOST, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"} | CROSS,
    {"host": HOST, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"} | CROSS,
    {"host": HOST, "sec-fetch-mode": "websocket", "sec-fetch-dest": "websocket"} | CROSS,
    {"host": HOST} | LINK | {"sec-fetch-dest": "iframe"},
    {"host": HOST} | LINK | {"sec-fetch-dest": "embed"},
    {"host": HOST} | LINK | {"sec-fetch-dest": ["document", "iframe"]},
    {"host": HOST, "sec-fetch-mode": "navigate"} | CROSS,
    {"host": HOST, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "document"} | CROSS,
    {"host": HOST, "origin": OWN} | LINK,
    {"host": HOST, "sec-fetch-site": ["same-origin", "cross-site"]},
    {"host": HOST, "sec-fetch-site": "same-origin, cross-site"},
]
REFUSED = [
    *((headers, 400, "HOST_INVALID") for headers in HOSTLESS),
    *((headers, 421, "HOST_REJECTED") for headers in HOST_ATTACKS),
    *((headers, 403, "ORIGIN_REJECTED") for headers in ORIGIN_ATTACKS),
]


def answering(*headers, name="ours"):
    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            return await send({"type": "websocket.accept", "by": name})
        start = {"type": "http.response.start", "status": 200, "headers": list(headers)}
        await send(start)
        return await send({"type": "http.response.body", "body": name.encode()})

    return app


def gate(app=None, port=8947, **more):
    return Gate(app or answering(), port, StoppedClock(datetime(2026, 1, 1, tzinfo=UTC)), **more)


def send_request(
    headers,
    kind="http",
    method="GET",
    path="/",
    *,
    at=None,
    server=("127.0.0.1", 8947),
    extensions=None,
    scheme="http",
):
    lines = [
        (name.encode(), value if isinstance(value, bytes) else value.encode())
        for name, values in headers.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    scope = {"type": kind, "method": method, "headers": lines, "server": server, "path": path}
    scope["scheme"] = scheme
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run((at or gate())(scope | {"extensions": extensions}, None, send))
    return sent


@pytest.mark.parametrize("headers", ADMITTED)
def test_gate_admits_requests_with_an_own_host_and_origin(headers):
    for method in ("GET", "POST", "DELETE"):
        assert send_request(headers, method=method, path="/api/v1/instances")[0]["status"] == 200
    assert send_request(headers, "websocket", path="/api/v1/ws")[0]["type"] == "websocket.accept"


@pytest.mark.parametrize(("headers", "status", "code"), REFUSED)
def test_gate_refuses_a_foreign_host_or_origin(headers, status, code):
    for method in ("GET", "POST", "OPTIONS", "HEAD"):
        start, body = send_request(headers, method=method)
        assert (start["status"], code.encode() in body["body"]) == (status, True)
        assert not [name for name, _ in start["headers"] if name.startswith(b"access-control")]
    [closed] = send_request(headers, "websocket")
    assert (closed["type"], closed["reason"]) == ("websocket.close", code)
    start, _ = send_request(headers, "websocket", extensions={"websocket.http.response": {}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", status)


@pytest.mark.parametrize("path", ["/", "/docs", "/workspaces/api", "/apis", "/web-proxy/mine/"])
def test_cross_site_link_may_open_a_page_with_get_only(path):
    link = {"host": HOST} | LINK
    assert send_request(link, path=path)[0]["status"] == 200
    for method in ("POST", "HEAD", "OPTIONS", "PUT"):
        assert send_request(link, method=method, path=path)[0]["status"] == 403
    assert send_request(link, "websocket", path=path)[0]["type"] == "websocket.close"


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/", "/api/v1/instances", "/aws-proxy/console", "//api/v1/ws", "///aws-proxy//x"],
)
def test_cross_site_link_to_the_api_is_refused(path):
    assert send_request({"host": HOST} | LINK, path=path)[0]["status"] == 403
    assert send_request({"host": HOST, "sec-fetch-site": "none"}, path=path)[0]["status"] == 200


def test_workspace_host_name_reaches_its_content_and_never_the_api():
    with_content = gate(content=answering(name="content"))
    for label in ("mine", "8888--mine", "a", "MINE", "x" * 63):
        host = f"{label}.localhost:8947"
        for path in ("/", "/api/v1/instances", "/api/kernels"):
            assert (
                send_request({"host": host}, path=path, at=with_content)[1]["body"] == b"content"
            )
            start, body = send_request({"host": host}, path=path)
            assert (start["status"], b"ENDPOINT_NOT_FOUND" in body["body"]) == (404, True)
        assert send_request({"host": host}, "websocket", at=with_content)[0]["by"] == "content"
        assert send_request({"host": host}, "websocket")[0]["type"] == "websocket.close"
    assert send_request({"host": HOST}, at=with_content)[1]["body"] == b"ours"


def test_gate_applies_its_rules_to_the_content_of_workspaces():
    at = gate(content=answering((b"Access-Control-Allow-Origin", b"*"), name="content"))
    own = {"host": SITE, "origin": f"http://{SITE}", "sec-fetch-site": "same-origin"}
    start, _ = send_request(own, method="POST", at=at)
    assert (start["status"], start["headers"]) == (200, [])
    assert send_request(own, "websocket", at=at)[0]["type"] == "websocket.accept"
    assert send_request({"host": SITE} | LINK, path="/api/contents", at=at)[0]["status"] == 200
    for attack in (
        {"host": SITE, "origin": OWN},
        {"host": SITE, "origin": "http://other.localhost:8947"},
        {"host": SITE} | CROSS,
        {"host": SITE} | LINK | {"sec-fetch-dest": "iframe"},
    ):
        assert send_request(attack, at=at)[0]["status"] == 403
        assert send_request(attack, "websocket", at=at)[0]["type"] == "websocket.close"


def test_html_page_forbids_frames():
    page = gate(answering((b"content-type", b"text/html; charset=utf-8")))
    headers = dict(send_request({"host": HOST}, at=page)[0]["headers"])
    assert headers[b"content-security-policy"] == b"frame-ancestors 'none'"
    data = gate(answering((b"content-type", b"application/json")))
    assert b"content-security-policy" not in dict(
        send_request({"host": HOST}, at=data)[0]["headers"]
    )


def test_gate_removes_cors_headers():
    loose = gate(answering((b"access-control-allow-origin", b"*"), (b"x-a", b"1")))
    assert send_request({"host": HOST}, at=loose)[0]["headers"] == [(b"x-a", b"1")]


def test_gate_admits_the_configured_public_host_and_origin():
    at = gate(hosts=["Prism.example.org"], origins=["https://prism.example.org"])
    public = {"host": "prism.example.org"}
    assert send_request(public, at=at)[0]["status"] == 200
    origin = {"origin": "https://prism.example.org"}
    assert send_request(public | origin, method="POST", at=at)[0]["status"] == 200
    assert send_request({"host": HOST}, at=at)[0]["status"] == 200
    assert send_request(public | {"origin": "https://evil.example"}, at=at)[0]["status"] == 403
    assert send_request({"host": "prism.example.org:8947"}, at=at)[0]["status"] == 421
    assert send_request(public)[0]["status"] == 421
    content = gate(content=answering(), origins=["https://prism.example.org"])
    assert send_request({"host": SITE} | origin, at=content)[0]["status"] == 403


def test_gate_on_port_80_admits_hosts_without_a_port():
    at = gate(port=80)
    for host in ("localhost", "localhost:80", "127.0.0.1", "[::1]"):
        own = {"host": host, "origin": f"http://{host}"}
        assert send_request(own, method="POST", at=at)[0]["status"] == 200
    assert send_request({"host": HOST}, at=at)[0]["status"] == 421


@pytest.mark.parametrize(
    ("port", "host", "at"),
    [
        (80, "localhost", "prism--a.localhost"),
        (8947, "localhost:8947", "prism--a.localhost:8947"),
        (8947, "[::1]:8947", "prism--a.localhost:8947"),
    ],
)
def test_gate_leads_a_browser_to_the_gui_at_the_port_that_it_has_used(port, host, at):
    page = {"host": host, "sec-fetch-site": "none"} | {k: LINK[k] for k in LINK.keys() - CROSS}
    [start, _] = send_request(page, path="/docs", at=gate(port=port, gui="prism--a"))
    assert start["status"] == 302
    assert dict(start["headers"])[b"location"] == f"http://{at}/docs".encode()


def test_gate_admits_programs_at_the_unix_socket_with_any_local_host_and_port():
    for headers in ({}, {"host": "localhost"}, {"host": "anything"}, {"host": "[::1]:1"}):
        assert send_request(headers, server=("prism.sock", None))[0]["status"] == 200


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({"host": "localhost:9000"}, b"ours"),
        ({"host": "127.0.0.1:9000", "origin": "http://127.0.0.1:9000"}, b"ours"),
        ({"host": "[::1]:9000", "sec-fetch-site": "none"}, b"ours"),
        ({"host": "mine.localhost:9000"}, b"theirs"),
        ({"host": "8501--mine.localhost"}, b"theirs"),
        ({"host": "mine.localhost:x"}, 421),
        ({"host": "evil.example"}, 421),
        ({"host": "evil:8947"}, 421),
        ({"host": "localhost:9000", "origin": "https://evil.example"}, 403),
        ({"host": "localhost:9000", "origin": "http://localhost:9001"}, 403),
        ({"host": "localhost:9000", "origin": "null"}, 403),
        ({"host": "mine.localhost:9000", "origin": "http://localhost:9000"}, 403),
        ({"host": "localhost", "sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_gate_checks_browsers_that_reach_the_unix_socket_through_ssh(headers, answer):
    at = gate(content=answering(name="theirs"))
    start, body = send_request(headers, server=("prism.sock", None), at=at)
    assert answer in {start["status"], body["body"]}


def test_gate_passes_a_lifespan_scope():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(gate(app)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


APPS = ".apps.example.org"
APP = {"host": f"mine--bob{APPS}"}
PUBLIC_HOST = {"host": "prism.example.org"}


def shared_gate(**more):
    """A gate of a shared daemon with a public address and apps; it says what answered."""
    return gate(
        answering((b"x-answers", b"daemon"), (b"content-type", b"text/html")),
        hosts=["prism.example.org"],
        origins=["https://prism.example.org"],
        team=True,
        apps=answering((b"x-answers", b"app"), (b"content-type", b"text/html")),
        apps_suffix=APPS,
        **more,
    )


def test_app_has_an_origin_of_its_own_that_only_it_may_frame():
    at = shared_gate()
    answer = send_request(APP | {"origin": f"https://mine--bob{APPS}"}, method="POST", at=at)
    headers = dict(answer[0]["headers"])
    assert headers[b"x-answers"] == b"app"
    assert headers[b"content-security-policy"] == b"frame-ancestors 'self'"
    assert dict(send_request(PUBLIC_HOST, at=at)[0]["headers"])[b"x-answers"] == b"daemon"
    for label in ("a.b", "", "-a", "a-", "a_b", "é"):
        assert send_request({"host": f"{label}{APPS}"}, at=at)[0]["status"] == 421, label


@pytest.mark.parametrize(
    "page",
    [
        {"origin": f"https://other--eve{APPS}", "sec-fetch-site": "same-site"},
        {"origin": "https://prism.example.org", "sec-fetch-site": "same-site"},
        {"origin": f"http://mine--bob{APPS}", "sec-fetch-site": "cross-site"},
        {"origin": "null", "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
    ],
)
def test_page_of_another_origin_reaches_neither_app_nor_daemon(page):
    at = shared_gate()
    assert send_request(APP | page, at=at)[0]["status"] == 403
    foreign = page | {"origin": f"https://mine--bob{APPS}"} if "origin" in page else page
    assert send_request(PUBLIC_HOST | foreign, at=at)[0]["status"] == 403


def test_public_hosts_are_answered_by_tls_only_if_the_scheme_is_known():
    for host in (APP, PUBLIC_HOST):
        assert send_request(host, at=shared_gate())[0]["status"] == 200
        at = shared_gate(https_only=True)
        assert send_request(host, at=at)[0]["status"] == 403
        assert send_request(host, at=at, scheme="https")[0]["status"] == 200
        visit = host | {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
        led = dict(send_request(visit, at=at)[0]["headers"])
        assert led[b"location"].startswith(f"https://{host['host']}/".encode())


BY_WORKER = LINK | {"sec-fetch-dest": "empty"}  # as Chromium sends what a worker passes on


def test_link_is_followed_that_the_worker_of_a_workspace_passes_on():
    at = shared_gate()
    for host, own in ((APP, f"https://mine--bob{APPS}"), ({"host": SITE}, f"http://{SITE}")):
        served = at if host is APP else gate(content=answering((b"content-type", b"text/html")))
        answer = send_request(host | BY_WORKER, at=served)[0]
        assert answer["status"] == 200
        assert (b"content-security-policy", b"frame-ancestors 'self'") in answer["headers"]
        posted = send_request(host | BY_WORKER | {"origin": own}, method="POST", at=served)
        assert posted[0]["status"] == 403
    for host, daemon in ((PUBLIC_HOST, at), ({"host": HOST}, None)):
        assert send_request(host | BY_WORKER, at=daemon)[0]["status"] == 403, "it has no worker"


PUBLIC = {"hosts": ["prism.example.org"], "origins": ["https://prism.example.org"], "team": True}
BALANCER = [{"host": host} for host in ("10.0.0.7:8947", "prismd-1:8947", "prism.example.org")]


def probed(headers, path="/readyz", method="GET", **more):
    """The status and the body of an answer."""
    app = gate(probes=answering(name="probe"), **more)
    start, body = send_request(headers, path=path, method=method, at=app)
    return start["status"], body["body"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("headers", BALANCER)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_programs_ask_a_shared_daemon_how_it_is_by_any_address(headers, path, method):
    assert probed(headers, path, method, **PUBLIC, https_only=True) == (200, b"probe")


@pytest.mark.parametrize("headers", [*HOST_ATTACKS, *BALANCER])
def test_nobody_asks_a_daemon_of_one_person_by_a_foreign_host(headers):
    status, body = probed(headers)
    assert (status, b"HOST_REJECTED" in body) == (421, True)
    assert probed({"host": HOST}) == (200, b"probe")


@pytest.mark.parametrize(
    ("headers", "path", "method"),
    [
        ({"host": "10.0.0.7:8947"}, "/readyz", "POST"),
        ({"host": "10.0.0.7:8947"}, "/readyz/", "GET"),
        ({"host": "10.0.0.7:8947"}, "//readyz", "GET"),
        ({"host": "10.0.0.7:8947"}, "/api/v1/daemon/status", "GET"),
        ({"host": "10.0.0.7:8947"}, "/metrics", "POST"),
        ({"host": "10.0.0.7:8947"}, "/metrics/", "GET"),
        ({"host": "10.0.0.7:8947", "sec-fetch-site": "none"}, "/metrics", "GET"),
        ({"host": "10.0.0.7:8947", "origin": "http://10.0.0.7:8947"}, "/readyz", "GET"),
        ({"host": "10.0.0.7:8947", "sec-fetch-site": "none"}, "/readyz", "GET"),
    ],
)
def test_a_foreign_host_of_a_shared_daemon_reaches_nothing_else(headers, path, method):
    status, body = probed(headers, path, method, **PUBLIC)
    assert (status, b"HOST_REJECTED" in body) == (421, True)


def test_programs_read_the_metrics_of_a_shared_daemon_by_any_address():
    assert probed({"host": "10.0.0.7:8947"}, "/metrics", **PUBLIC) == (200, b"ours")
    assert probed({"host": "10.0.0.7:8947"}, "/metrics")[0] == 421


def test_the_paths_of_probes_belong_to_the_app_at_its_own_origin():
    of_apps = {"apps": answering(name="app"), "apps_suffix": ".apps.example.org"}
    assert probed({"host": "mine.apps.example.org"}, **PUBLIC, **of_apps) == (200, b"app")
    assert probed({"host": SITE}, content=answering(name="content")) == (200, b"content")
