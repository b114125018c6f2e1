"""The headers that the proxy removes, sets and forwards."""

import pytest

from prism.connections.headers import Route, to_client, to_service, without_port

OWN = Route(netloc=b"127.0.0.1:40001", host=b"mine.localhost:8947", client=b"127.0.0.1")
ROUTE = Route(
    netloc=b"127.0.0.1:40001",
    host=b"localhost:8947",
    client=b"127.0.0.1",
    prefix=b"/web-proxy/mine",
    query=b"port=8888",
)
HOPS = [
    (b"connection", b"keep-alive, X-Mine"),
    (b"x-mine", b"1"),
    (b"keep-alive", b"timeout=5"),
    (b"te", b"trailers"),
    (b"trailer", b"x"),
    (b"transfer-encoding", b"chunked"),
    (b"upgrade", b"h2c"),
    (b"proxy-authorization", b"Basic x"),
    (b"proxy-authenticate", b"Basic"),
    (b"proxy-connection", b"close"),
]


def sent_to_service(*headers, route=OWN):
    result = to_service(headers, route)
    assert len({name for name, _ in result if name != b"x"}) == len(result), (
        "each header appears once"
    )
    return dict(result)


def sent_to_client(*headers, route=OWN):
    return to_client(headers, route)


def test_hop_by_hop_headers_are_removed():
    headers = sent_to_service(*HOPS)
    assert set(headers) == {b"host", b"x-forwarded-host", b"x-forwarded-for", b"x-forwarded-proto"}
    assert sent_to_client(*HOPS) == []


def test_content_length_is_forwarded_even_if_named_in_connection():
    """Otherwise the same bytes would be read with other framing."""
    named = [(b"connection", b"close, Content-Length"), (b"content-length", b"5")]
    assert sent_to_service(*named)[b"content-length"] == b"5"
    assert sent_to_client(*named) == [(b"content-length", b"5")]


def test_host_origin_and_referer_are_rewritten_to_the_address_of_the_service():
    headers = sent_to_service(
        (b"host", b"mine.localhost:8947"),
        (b"origin", b"http://mine.localhost:8947"),
        (b"referer", b"http://mine.localhost:8947/lab?a=1"),
    )
    assert headers[b"host"] == b"127.0.0.1:40001"
    assert headers[b"origin"] == b"http://127.0.0.1:40001"
    assert headers[b"referer"] == b"http://127.0.0.1:40001/lab?a=1"
    assert b"x-forwarded-host" not in headers, "a service may compare it with Origin"


@pytest.mark.parametrize(
    "referer",
    [
        b"https://elsewhere.example/",
        b"http://mine.localhost:89470/",
        b"http://mine.localhost:8947@x/",
    ],
)
def test_referer_of_another_origin_is_not_rewritten(referer):
    assert sent_to_service((b"referer", referer))[b"referer"] == referer


def test_forwarded_headers_are_set_by_the_proxy_and_not_by_the_client():
    forged = [
        (b"x-forwarded-for", b"6.6.6.6"),
        (b"x-forwarded-host", b"evil"),
        (b"x-forwarded-anything", b"1"),
        (b"forwarded", b"for=6.6.6.6"),
        (b"x-real-ip", b"6.6.6.6"),
    ]
    assert sent_to_service(*forged) == {
        b"host": b"127.0.0.1:40001",
        b"x-forwarded-host": b"mine.localhost:8947",
        b"x-forwarded-for": b"127.0.0.1",
        b"x-forwarded-proto": b"http",
    }


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        (b"a=1; b=2", b"a=1; b=2"),
        (b"prism=x; a=1", b"a=1"),
        (b"a=1; prism_session=x; __Host-prism_session=y; b=2", b"a=1; b=2"),
        (b"PRISM_SESSION=x", None),
    ],
)
def test_cookies_of_the_daemon_are_removed(sent, arrives):
    assert sent_to_service((b"cookie", sent)).get(b"cookie") == arrives


def test_tokens_of_the_daemon_are_removed_and_others_are_forwarded():
    assert b"authorization" not in sent_to_service((b"authorization", b"Bearer prism_abc"))
    assert b"authorization" not in sent_to_service((b"authorization", b"bearer  prism_abc"))
    headers = sent_to_service((b"authorization", b"token abc"))
    assert headers[b"authorization"] == b"token abc"


def test_credentials_are_removed_on_the_origin_of_the_daemon():
    headers = [(b"cookie", b"a=1"), (b"authorization", b"token abc")]
    assert not {b"cookie", b"authorization"} & set(sent_to_service(*headers, route=ROUTE))
    headers = [(b"set-cookie", b"a=1"), (b"www-authenticate", b"Basic"), (b"x", b"1")]
    assert sent_to_client(*headers, route=ROUTE) == [
        (b"content-security-policy", b"sandbox"),
        (b"x-content-type-options", b"nosniff"),
        (b"x", b"1"),
    ]


@pytest.mark.parametrize(
    ("set_cookie", "forwarded"),
    [
        (b"a=1; Path=/; HttpOnly", b"a=1; Path=/; HttpOnly"),
        (b"a=1; Domain=localhost; Path=/", b"a=1; Path=/"),
        (b"a=1;domain = .localhost", b"a=1"),
        (b"prism_session=forged", None),
        (b"__Host-prism=forged; Secure; Path=/", None),
    ],
)
def test_set_cookie_is_restricted_to_the_origin_of_the_workspace(set_cookie, forwarded):
    assert sent_to_client((b"Set-Cookie", set_cookie)) == (
        [(b"set-cookie", forwarded)] if forwarded else []
    )


def test_cors_and_alt_svc_headers_are_removed():
    assert sent_to_client((b"Access-Control-Allow-Origin", b"*"), (b"Alt-Svc", b"h3")) == []


@pytest.mark.parametrize(
    ("location", "own", "path"),
    [
        (b"/lab", b"/lab", b"/web-proxy/mine/lab?port=8888"),
        (b"/a?b=1#c", b"/a?b=1#c", b"/web-proxy/mine/a?b=1&port=8888#c"),
        (b"http://127.0.0.1:40001/lab", b"/lab", b"/web-proxy/mine/lab?port=8888"),
        (b"http://127.0.0.1:40001", b"/", b"/web-proxy/mine/?port=8888"),
        (b"http://127.0.0.1:40001?q", b"/?q", b"/web-proxy/mine/?q&port=8888"),
        (b"http://127.0.0.1:400012/", b"http://127.0.0.1:400012/", b"http://127.0.0.1:400012/"),
        (b"//elsewhere/", b"//elsewhere/", b"//elsewhere/"),
        (b"lab?x", b"lab?x", b"lab?x"),
    ],
)
def test_location_is_rewritten_to_the_requested_origin(location, own, path):
    assert sent_to_client((b"Location", location)) == [(b"location", own)]
    assert sent_to_client((b"Location", location), route=ROUTE)[2:] == [(b"location", path)]


@pytest.mark.parametrize(
    ("query", "rest", "ports"),
    [
        (b"", b"", []),
        (b"port=1", b"", ["1"]),
        (b"a=1&port=2&b&port=3", b"a=1&b", ["2", "3"]),
        (b"report=1&portal=2", b"report=1&portal=2", []),
        (b"port", b"", [""]),
    ],
)
def test_port_parameters_are_removed_from_the_query(query, rest, ports):
    left, port = without_port(query)
    assert (left, [*port]) == (rest, ports)


@pytest.mark.parametrize("route", [OWN, ROUTE])
def test_clear_site_data_header_is_removed(route):
    assert b"clear-site-data" not in dict(
        sent_to_client((b"Clear-Site-Data", b'"*"'), route=route)
    )
