"""HTTP through the proxy to a real workspace: methods, sizes, streams and flow control."""

import hashlib
import json
import socket
import threading

import httpx
import pytest

from tests.attacks.serving import receive_all
from tests.connections.conftest import served
from tests.waiting import eventually

MIB = 1 << 20
LARGE = 150 * MIB  # several times what the daemon may buffer


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]
)
def test_service_receives_every_method_with_its_body(served_daemon, method):
    request = served_daemon.received_request(method, "/a/b", content=b"\x00\xffbody")
    assert (request["method"], request["target"], request["body"]) == (
        method,
        "/a/b",
        "\x00\xffbody",
    )


def test_head_answer_has_a_length_and_no_body(served_daemon):
    answer = served_daemon.ask("HEAD", "/page")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "//twice//",
        "/a%2Fb/%E2%82%AC?q=%20&&x&port=1",
        "/x?y=a+b%2Bc",
        "/@evil.example:80/",
        "/;p?=&?",
        "/%00",
        "/..%2f..%2f",
    ],
)
def test_service_receives_the_target_byte_for_byte(served_daemon, target):
    answer = send_raw(
        served_daemon, f"GET {target} HTTP/1.1\r\nHost: {served_daemon.host('mine')}\r\n\r\n"
    )
    assert f'"target": "{target}"' in answer


def test_pipelined_request_is_answered_after_a_large_answer(served_daemon):
    """The client sends its second request before it has the first answer."""
    size, host = 3 * MIB, f"HTTP/1.1\r\nHost: {served_daemon.host('mine')}\r\n"
    requests = f"GET /download?size={size} {host}\r\nGET /page {host}Connection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served_daemon.port), timeout=120) as client:
        client.sendall(requests.encode())
        answers = receive_all(client)
    first, _, rest = answers.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert rest[size:].startswith(b"HTTP/1.1 200 ")


def test_service_receives_a_chunked_body(served_daemon):
    def pieces():
        yield b"one "
        yield b"two"

    request = served_daemon.received_request("POST", "/", content=pieces())
    assert request["body"] == "one two"


def test_statuses_and_headers_are_returned_unchanged(served_daemon):
    for status in (200, 201, 204, 301, 304, 404, 418, 500, 503):
        answer = served_daemon.ask("GET", f"/answered?status={status}&head=[]")
        assert answer.status_code == status
    head = '[["X-A","1"],["X-A","2"],["ETag","\\"e\\""]]'
    answer = served_daemon.ask("GET", "/answered", params={"head": head})
    assert answer.headers.get_list("x-a") == ["1", "2"]
    assert answer.headers["etag"] == '"e"'


def test_client_connection_is_reused(served_daemon):
    transport = httpx.HTTPTransport()
    head = {"host": served_daemon.host("mine")}
    with httpx.Client(base_url=served_daemon.base, headers=head, transport=transport) as client:
        for _ in range(3):
            assert client.get("/page").status_code == 200
        [pooled] = transport._pool.connections
        assert pooled.is_idle()


@pytest.mark.parametrize("how", ["", "&chunked"])
def test_large_download_is_complete_and_not_buffered(served_daemon, how):
    before, size = resident_memory(served_daemon), LARGE
    digest, got = hashlib.sha256(), 0
    with served_daemon.http.stream(
        "GET", f"/download?size={size}{how}", headers={"host": served_daemon.host("mine")}
    ) as answer:
        for piece in answer.iter_raw():
            digest.update(piece)
            got += len(piece)
    assert got == size
    assert digest.digest() == expected(size)
    assert resident_memory(served_daemon) - before < 40 * MIB


def test_large_upload_is_complete_and_not_buffered(served_daemon):
    before, size = resident_memory(served_daemon), LARGE
    piece = bytes(range(256)) * 4096

    def pieces():
        for _ in range(size // len(piece)):
            yield piece

    request = served_daemon.received_request(
        "POST", "/upload", headers={"content-length": str(size)}, content=pieces()
    )
    assert (request["size"], request["sha256"]) == (size, expected(size).hex())
    assert resident_memory(served_daemon) - before < 40 * MIB


def test_slow_client_slows_the_service_down(served_daemon):
    size = 300 * MIB
    with served_daemon.http.stream(
        "GET", f"/download?size={size}", headers={"host": served_daemon.host("mine")}
    ) as answer:
        next(answer.iter_raw())
        seen = []

        def has_stalled():
            seen.append(served_daemon.counts()["sent"])
            return len(seen) > 3 and len(set(seen[-3:])) == 1

        eventually(has_stalled)
        assert seen[-1] < 120 * MIB, "the service waits for the client"


def test_slow_service_slows_the_client_down(served_daemon):
    sent, piece = [0], bytes(MIB)

    def pieces():
        for _ in range(200):
            sent[0] += len(piece)
            yield piece

    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(
            served_daemon.received_request("POST", "/upload?hold", content=pieces())
        )
    )
    thread.start()
    seen = []

    def has_stalled():
        seen.append(sent[0])
        return seen[-1] > 0 and len(seen) > 20 and len(set(seen[-20:])) == 1

    eventually(has_stalled)
    assert seen[-1] < 120 * MIB, "only socket buffers are filled"
    served_daemon.counts()  # and on
    thread.join(120)
    assert answers[0]["size"] == 200 * MIB


def test_events_are_forwarded_one_by_one(served_daemon):
    with served_daemon.http.stream(
        "GET", "/events?count=3&hold", headers={"host": served_daemon.host("mine")}
    ) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        pieces = []
        for piece in filter(None, answer.iter_text()):
            pieces.append(piece)
            served_daemon.counts()  # only then the service writes the next event
    assert pieces == [f"id: {number}\ndata: tick\n\n" for number in range(3)]


@pytest.mark.parametrize("sent", [{}, {"content": b"body"}])
def test_disconnected_client_aborts_the_request_of_the_service(served_daemon, sent):
    before, host = served_daemon.counts()["cut"], {"host": served_daemon.host("mine")}
    with served_daemon.http.stream("GET", "/events", headers=host, **sent) as answer:
        next(answer.iter_text())
    eventually(lambda: served_daemon.counts()["cut"] > before)


def test_truncated_answer_is_truncated_for_the_client(served_daemon):
    with pytest.raises(httpx.RemoteProtocolError):
        served_daemon.ask("GET", "/broken")


def expected(size):
    digest, piece = hashlib.sha256(), bytes(range(256)) * 4096
    for _ in range(size // len(piece)):
        digest.update(piece)
    return digest.digest()


def resident_memory(site):
    """The resident memory of the daemon, in bytes."""
    pid = json.loads((site.home.folder / "daemon.lock").read_text())["pid"]
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def send_raw(site, text):
    """The answer to exactly these bytes."""
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        connection.sendall(
            text.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode("latin-1")
        )
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode("latin-1")


def test_daemon_shutdown_ends_event_streams_and_completes_downloads(tmp_path):
    """The event stream ends at once; a download in progress is completed."""
    with served(tmp_path / "home") as (home, site):
        host = {"host": site.host("mine")}
        size = 30 * MIB
        with (
            site.http.stream("GET", "/events", headers=host) as events,
            site.http.stream("GET", f"/download?size={size}", headers=host) as download,
        ):
            lines = events.iter_lines()
            assert next(lines) == "id: 0"
            pieces = download.iter_raw()
            got = len(next(pieces))
            home.client.daemon.shutdown()
            with pytest.raises(httpx.RemoteProtocolError):
                for _ in lines:
                    pass
            assert got + sum(map(len, pieces)) == size
        eventually(lambda: not home.answers())
        assert '"error"' not in (home.folder / "log").read_text()
