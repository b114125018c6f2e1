"""What crosses the proxy in the heads of requests and answers."""

import pytest

from prism.connections.headers import Route, to_client, to_service, without_port

OWN = Route(netloc=b"127.0.0.1:40001", host=b"mine.localhost:8947", client=b"127.0.0.1")
PATH = Route(
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


def there(*headers, route=OWN):
    result = to_service(headers, route)
    assert len({name for name, _ in result if name != b"x"}) == len(result), "each once"
    return dict(result)


def back(*headers, route=OWN):
    return to_client(headers, route)


def test_what_belongs_to_one_hop_stays_there():
    headers = there(*HOPS)
    assert set(headers) == {b"host", b"x-forwarded-host", b"x-forwarded-for", b"x-forwarded-proto"}
    assert back(*HOPS) == []


def test_the_length_of_a_body_belongs_to_no_hop():
    """Else the same bytes would be read in another frame."""
    named = [(b"connection", b"close, Content-Length"), (b"content-length", b"5")]
    assert there(*named)[b"content-length"] == b"5"
    assert back(*named) == [(b"content-length", b"5")]


def test_the_service_is_asked_by_its_own_name():
    headers = there(
        (b"host", b"mine.localhost:8947"),
        (b"origin", b"http://mine.localhost:8947"),
        (b"referer", b"http://mine.localhost:8947/lab?a=1"),
    )
    assert headers[b"host"] == b"127.0.0.1:40001"
    assert headers[b"origin"] == b"http://127.0.0.1:40001"
    assert headers[b"referer"] == b"http://127.0.0.1:40001/lab?a=1"
    assert b"x-forwarded-host" not in headers, "who compares it with Origin must see one name"


@pytest.mark.parametrize(
    "referer",
    [
        b"https://elsewhere.example/",
        b"http://mine.localhost:89470/",
        b"http://mine.localhost:8947@x/",
    ],
)
def test_another_page_is_not_made_into_one_of_the_services(referer):
    assert there((b"referer", referer))[b"referer"] == referer


def test_where_it_came_from_is_told_and_cannot_be_forged():
    forged = [
        (b"x-forwarded-for", b"6.6.6.6"),
        (b"x-forwarded-host", b"evil"),
        (b"x-forwarded-anything", b"1"),
        (b"forwarded", b"for=6.6.6.6"),
        (b"x-real-ip", b"6.6.6.6"),
    ]
    assert there(*forged) == {
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
def test_the_daemons_cookies_never_arrive(sent, arrives):
    assert there((b"cookie", sent)).get(b"cookie") == arrives


def test_the_daemons_tokens_never_arrive_and_the_services_do():
    assert b"authorization" not in there((b"authorization", b"Bearer prism_abc"))
    assert b"authorization" not in there((b"authorization", b"bearer  prism_abc"))
    headers = there((b"authorization", b"token abc"))
    assert headers[b"authorization"] == b"token abc"


def test_on_the_daemons_own_origin_no_credentials_cross():
    headers = [(b"cookie", b"a=1"), (b"authorization", b"token abc")]
    assert not {b"cookie", b"authorization"} & set(there(*headers, route=PATH))
    headers = [(b"set-cookie", b"a=1"), (b"www-authenticate", b"Basic"), (b"x", b"1")]
    assert back(*headers, route=PATH) == [
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
def test_a_cookie_is_the_workspaces_alone(set_cookie, forwarded):
    assert back((b"Set-Cookie", set_cookie)) == ([(b"set-cookie", forwarded)] if forwarded else [])


def test_nothing_opens_the_origin_to_others():
    assert back((b"Access-Control-Allow-Origin", b"*"), (b"Alt-Svc", b"h3")) == []


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
def test_an_address_of_the_service_is_one_on_the_origin_that_was_asked(location, own, path):
    assert back((b"Location", location)) == [(b"location", own)]
    assert back((b"Location", location), route=PATH)[2:] == [(b"location", path)]


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
def test_the_port_of_a_query_is_for_us(query, rest, ports):
    left, port = without_port(query)
    assert (left, [*port]) == (rest, ports)


@pytest.mark.parametrize("route", [OWN, PATH])
def test_a_service_does_not_empty_the_browser_for_all_workspaces(route):
    assert b"clear-site-data" not in dict(back((b"Clear-Site-Data", b'"*"'), route=route))
