"""The files of the GUI: serving, caching, and the routes of the application."""

import asyncio
import gzip
import json
import os
from types import SimpleNamespace

import pytest

from prism.daemon.website import Site, Website, file_of, read_site
from tests.conftest import Http

SCRIPT = b"console.log('prism')\n" * 50
PACKED = gzip.compress(SCRIPT, mtime=0)
FILES = {
    "index.html": {"type": "text/html; charset=utf-8", "immutable": False},
    "assets/main-AbC.js": {"type": "text/javascript; charset=utf-8", "immutable": True},
}


@pytest.fixture
def url(tmp_path):
    """These tests need only SQLite."""
    return f"sqlite:///{tmp_path / 'state.db'}"


@pytest.fixture
def folder(tmp_path):
    """The empty folder of the GUI."""
    (tmp_path / "web").mkdir()
    return tmp_path / "web"


@pytest.fixture
def built_gui(folder):
    """The folder of the GUI after a build."""
    return build_into(folder)


def build_into(folder):
    (folder / "assets").mkdir()
    (folder / "index.html").write_bytes(b"<!doctype html>the GUI")
    (folder / "assets/main-AbC.js").write_bytes(SCRIPT)
    (folder / "assets/main-AbC.js.gz").write_bytes(PACKED)
    (folder / "assets/main-AbC.js.br").write_bytes(b"brotli")
    files = {name: {**file, "etag": "e", "encodings": []} for name, file in FILES.items()}
    files["assets/main-AbC.js"]["encodings"] = ["br", "gz"]
    (folder / "outside.txt").write_text("not listed")
    text = json.dumps({"source": "s", "sections": ["workspaces"], "files": files})
    (folder / "site.json").write_text(text)
    return folder


@pytest.fixture
def http_with_gui(daemon, built_gui):
    """The real application behind the built GUI."""
    gate = daemon.app._app  # behind what counts requests
    gate._app = Website(gate._app.app, daemon.clock, built_gui)
    return Http(gate)


@pytest.fixture
def http_without_gui(daemon, folder):
    """The real application without a built GUI."""
    gate = daemon.app._app  # behind what counts requests
    gate._app = Website(gate._app.app, daemon.clock, folder)
    return Http(gate)


def raw_answer(site, path, method="GET", **headers):
    """The answer without decoding of its content."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [(b"host", b"localhost:8947")]
    lines += [(name.encode(), value.encode()) for name, value in names.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": lines}
    scope |= {"raw_path": path.encode(), "query_string": b"", "client": ("127.0.0.1", 1)}
    scope |= {"scheme": "http", "server": ("127.0.0.1", 8947), "http_version": "1.1"}
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(site.app(scope, receive, send))
    answer_headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return SimpleNamespace(status=sent[0]["status"], headers=answer_headers, body=body)


@pytest.mark.parametrize("path", ["/", "/workspaces", "/workspaces/mine", "/index.html"])
def test_gui_sections_return_the_page_with_a_strict_csp(http_with_gui, path):
    answer = http_with_gui("GET", path)
    assert (answer.status_code, answer.text) == (200, "<!doctype html>the GUI")
    assert answer.headers["cache-control"] == "no-cache"
    policies = answer.headers.get_list("content-security-policy")
    assert "default-src 'self'" in policies[0]
    assert "unsafe" not in "".join(policies)
    assert all("frame-ancestors 'none'" in policy for policy in policies)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("accepted", "encoding", "body"),
    [
        ("br, gzip", "br", b"brotli"),
        ("gzip;q=1.0, br;q=0", "gzip", PACKED),
        ("gzip", "gzip", PACKED),
        ("identity", None, SCRIPT),
    ],
    ids=["brotli", "no brotli", "gzip", "none"],
)
def test_gui_file_is_served_in_the_best_accepted_encoding(http_with_gui, accepted, encoding, body):
    answer = raw_answer(http_with_gui, "/assets/main-AbC.js", accept_encoding=accepted)
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["content-length"] == str(len(body))
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.body == body


def test_hashed_gui_file_is_immutable_and_answered_with_304(http_with_gui):
    answer = raw_answer(http_with_gui, "/assets/main-AbC.js", accept_encoding="br")
    assert "immutable" in answer.headers["cache-control"]
    tag = answer.headers["etag"]
    again = raw_answer(
        http_with_gui, "/assets/main-AbC.js", accept_encoding="br", if_none_match=tag
    )
    assert (again.status, again.body) == (304, b"")
    other = raw_answer(
        http_with_gui, "/assets/main-AbC.js", accept_encoding="gzip", if_none_match=tag
    )
    assert other.status == 200, "another encoding has another ETag"


def test_file_that_is_not_listed_is_404(http_with_gui):
    for path in ("/outside.txt", "/site.json", "/assets/../outside.txt", "/assets/", "/nothing"):
        assert raw_answer(http_with_gui, path).status == 404, path


def test_gui_allows_only_get_and_head(http_with_gui):
    answer = http_with_gui("POST", "/")
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "METHOD_NOT_ALLOWED"
    assert raw_answer(http_with_gui, "/", "HEAD").body == b""


def test_api_routes_work_behind_the_gui(http_with_gui):
    assert http_with_gui("GET", "/api/v1/instances").json() == []
    assert http_with_gui("GET", "/api/v1/nothing").json()["error"]["code"] == "ENDPOINT_NOT_FOUND"


def test_gate_protects_the_gui(http_with_gui):
    for headers in ({"host": "evil.example:8947"}, {"origin": "https://evil.example"}):
        assert http_with_gui("GET", "/", headers=headers).status_code in {403, 421}
    framed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert (
        http_with_gui("GET", "/", headers=framed | {"sec-fetch-dest": "iframe"}).status_code == 403
    )
    assert (
        http_with_gui("GET", "/", headers=framed | {"sec-fetch-dest": "document"}).status_code
        == 200
    )


def test_missing_gui_is_answered_with_the_build_command(http_without_gui):
    answer = http_without_gui("GET", "/")
    assert answer.status_code == 503
    assert "make gui" in answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_gui_built_later_is_served_without_a_restart(http_without_gui, folder):
    assert http_without_gui("GET", "/").status_code == 503
    build_into(folder)
    assert http_without_gui("GET", "/").text == "<!doctype html>the GUI"
    (folder / "assets/main-AbC.js").rename(folder / "assets/main-DeF.js")
    text = (folder / "site.json").read_text().replace("main-AbC", "main-DeF")
    (folder / "site.json").write_text(text.replace('["br", "gz"]', "[]"))
    os.utime(folder / "site.json", ns=(1, 1))
    assert http_without_gui("GET", "/").status_code == 200
    assert http_without_gui("GET", "/assets/main-DeF.js").content == SCRIPT
    assert http_without_gui("GET", "/assets/main-AbC.js").status_code == 404


def test_sections_and_files_are_unknown_without_a_build(tmp_path):
    assert read_site(tmp_path) is None
    assert file_of("/workspaces", None) is None
    assert file_of("/", None) == "index.html"
    assert file_of("/workspacesx", Site({}, frozenset({"workspaces"}))) is None
