"""HTTP of the client: valid, truncated and invalid answers."""

import socket
import ssl
import subprocess
import threading

import pytest

from prism.client.errors import DaemonUnreachable
from prism.client.transport.address import DaemonAddress
from prism.client.transport.transfer import UPLOAD_CHUNK, upload
from prism.client.transport.wire import Wire, query, quoted
from prism.errors import Conflict, Denied, Invalid, NotFound, Problem, Unavailable
from prism.workspaces.model import WorkspaceNotFound
from tests.client.scripted import Scripted, http, problem

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_request_has_json_body_and_headers_without_authorization(wire, server):
    server.on("POST /instances/launch?wait=3", {"name": "mine"})
    assert wire.ask("POST", "/instances/launch", {"name": "mïne"}, wait=3) == {"name": "mine"}
    [request] = server.asked
    assert request.body == {"name": "mïne"}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == "localhost"
    assert "authorization" not in request.headers


def test_request_has_a_bearer_token_and_content_headers_only_with_a_body(home, server):
    server.on("GET /profiles", []).on("POST /daemon/shutdown", {})
    wire = Wire(DaemonAddress(str(home), token="secret"))
    wire.ask("GET", "/profiles")
    wire.ask("POST", "/daemon/shutdown")
    get, post = server.asked
    assert get.headers["authorization"] == "Bearer secret"
    assert "content-type" not in get.headers
    assert "content-length" not in get.headers
    assert (post.headers["content-length"], "content-type" in post.headers) == ("0", False)


@pytest.mark.parametrize(
    "answer",
    [
        http(200, {"a": "ü"}),
        CHUNKED + b'4\r\n{"a"\r\n5;x=y\r\n: "\xc3\xbc\r\n2\r\n"}\r\n0\r\nTrailer: 1\r\n\r\n',
        b'HTTP/1.0 200 OK\r\n\r\n{"a": "\xc3\xbc"}',
        b'HTTP/1.1 200\r\ncontent-LENGTH:10\r\n\r\n{"a":"\xc3\xbc"}',
    ],
    ids=["length", "chunks", "until close", "unusual headers"],
)
def test_answer_body_is_read_with_every_framing(wire, server, answer):
    server.on("GET /x", answer)
    assert wire.ask("GET", "/x") == {"a": "ü"}


@pytest.mark.parametrize("status", [204, 304])
def test_answer_without_a_body_decodes_to_none(wire, server, status):
    server.on("GET /x", f"HTTP/1.1 {status} No\r\nETag: t\r\n\r\n".encode())
    answer = wire.send("GET", "/x")
    assert (answer.status, answer.json(), answer.headers["etag"]) == (status, None, "t")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        CHUNKED + b"ff\r\n{",
        CHUNKED + b"2\r\n{}\r\n",
        CHUNKED + b"zz\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
    ],
)
def test_truncated_or_invalid_answer_raises_daemon_unreachable(wire, server, answer):
    server.on("GET /x", answer)
    with pytest.raises(DaemonUnreachable):
        wire.ask("GET", "/x")


def test_silent_daemon_raises_daemon_unreachable_after_the_timeout(home, server):
    let_go = threading.Event()
    server.on("GET /x", lambda *_: let_go.wait(120) and None)
    with pytest.raises(DaemonUnreachable, match="did not answer in time"):
        Wire(DaemonAddress(str(home)), timeout=0.05).ask("GET", "/x")
    let_go.set()


def test_missing_daemon_error_names_the_remedy(home):
    with pytest.raises(DaemonUnreachable) as unreachable:
        Wire(DaemonAddress(str(home))).ask("GET", "/x")
    assert unreachable.value.remediation == "Start it: `prism daemon start`"
    assert str(home) in unreachable.value.message
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home / "prism.sock"))
    with pytest.raises(DaemonUnreachable):
        Wire(DaemonAddress(str(home))).ask("GET", "/x")
    with pytest.raises(DaemonUnreachable, match="No daemon at http://127") as unreachable:
        Wire(DaemonAddress(str(home), "http://127.0.0.1:1")).ask("GET", "/x")
    assert "PRISM_URL" in unreachable.value.remediation


@pytest.mark.parametrize(
    "url", ["localhost:8947", "ftp://localhost", "http://", "http://h:x", "http://[::1"]
)
def test_invalid_prism_url_raises_daemon_unreachable(home, url):
    with pytest.raises(DaemonUnreachable, match="PRISM_URL"):
        Wire(DaemonAddress(str(home), url))


def test_prism_url_with_a_path_is_a_prefix_of_every_request(home):
    server = Scripted.on_port().on("GET /prism/api/v1/x", {"a": 1})
    try:
        wire = Wire(DaemonAddress(str(home), f"{server.url}/prism/"))
        assert wire.ask("GET", "/x") == {"a": 1}
        assert server.asked[0].headers["host"] == server.url.removeprefix("http://")
    finally:
        server.close()


def test_tls_certificate_must_be_trusted(home, monkeypatch):
    key, cert = home / "key.pem", home / "cert.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    files = ["-keyout", key, "-out", cert, "-addext", names]
    subprocess.run([*make, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    door = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
    door.listen(4)

    def serve_until_trusted():
        while True:
            try:
                with door.accept()[0] as connection:
                    connection.recv(4096)
                    return connection.sendall(http(200, {"a": 1}))
            except ssl.SSLError:
                continue  # the client closed the connection

    thread = threading.Thread(target=serve_until_trusted)
    thread.start()
    wire = Wire(DaemonAddress(str(home), f"https://localhost:{door.getsockname()[1]}"))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DaemonUnreachable, match="is not trusted") as refused:
        wire.ask("GET", "/x")
    assert "SSL_CERT_FILE" in refused.value.remediation
    monkeypatch.setenv("PRISM_HOME", str(home))
    (home / "env").write_text(f"SSL_CERT_FILE={cert}\n")
    assert wire.ask("GET", "/x") == {"a": 1}
    thread.join(120)
    door.close()


def test_problem_is_raised_with_details_and_data(wire, server):
    error_body = {"details": "d", "remediation": "Use `prism list`", "data": {"a": 1}}
    server.on("GET /x", problem(404, "INSTANCE_NOT_FOUND", "no", **error_body))
    with pytest.raises(WorkspaceNotFound, match="no") as raised:
        wire.ask("GET", "/x")
    assert (raised.value.details, raised.value.data) == ("d", {"a": 1})


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (400, Invalid),
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (409, Conflict),
        (422, Invalid),
        (500, Problem),
        (503, Unavailable),
    ],
)
def test_unknown_problem_code_raises_the_class_of_its_status(wire, server, status, family):
    server.on("GET /x", problem(status, "FROM_THE_FUTURE", "new"), http(status, ["?"]))
    with pytest.raises(family) as raised:
        wire.ask("GET", "/x")
    assert (type(raised.value), raised.value.code) == (family, "FROM_THE_FUTURE")
    with pytest.raises(family, match=str(status)):
        wire.ask("GET", "/x")


def test_names_are_quoted_and_header_injection_is_rejected(wire):
    assert quoted("a b/c?d#ü+%") == "a%20b%2Fc%3Fd%23%C3%BC%2B%25"
    assert query(state="running", template=None, project="a&b") == "?state=running&project=a%26b"
    assert query(state=None) == ""
    with pytest.raises(DaemonUnreachable, match="No daemon"):
        wire.send("GET", "/x", headers={"A": "b\r\nC: d"})


def test_upload_of_a_file_that_becomes_shorter_fails(wire, server, tmp_path):
    file = tmp_path / "data"
    file.write_bytes(b"x" * (UPLOAD_CHUNK + 2))

    def receive_and_truncate(request, _):
        file.write_bytes(b"x")
        return {"received": UPLOAD_CHUNK, "complete": False}

    path = "PUT /instances/mine/files/content?path=data"
    server.on(f"{path}&offset=0&size={UPLOAD_CHUNK + 2}", receive_and_truncate)
    with file.open("rb") as source, pytest.raises(Conflict, match="became shorter"):
        upload(wire, "mine", source, "data")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (413, Invalid, "client_max_body_size"),
        (502, Unavailable, "`prism daemon status`"),
        (403, Denied, "PRISM_URL"),
        (500, Problem, "`prism daemon status`"),
    ],
)
def test_answer_of_a_proxy_is_named_as_such(wire, server, status, kind, words):
    page = b"<html>nginx</html>"
    head = f"HTTP/1.1 {status} No\r\nContent-Length: {len(page)}\r\n\r\n"
    server.on("GET /x", head.encode() + page)
    with pytest.raises(kind, match=f"The answer was {status}.*not the daemon's own") as refused:
        wire.ask("GET", "/x")
    assert "proxy" in refused.value.details
    assert words in refused.value.remediation
