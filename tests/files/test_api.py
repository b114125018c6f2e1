"""Files of real workspaces through a real daemon: the API, the client, the command."""

import contextlib
import http.client
import json
import os
import select

import httpx
import pytest

from prism.errors import AlreadyExists, InvalidState, ValidationFailed
from prism.files.model import FileMissing, FolderNotEmpty, WrongFileKind
from prism.files.transfer import FILE_CHUNK
from tests.project.home import Home
from tests.waiting import eventually

MEGABYTE = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("files") / "home")
    try:
        with home.run_daemon():
            home.client.workspaces.launch("Plain Shell", "mine")
            home.client.workspaces.wait("mine", "running", 60)
            yield home
    finally:
        home.clear()


@pytest.fixture
def files(home):
    files = home.client.files
    yield files
    for entry in files.list("mine").entries:
        if not entry.name.startswith("."):
            files.remove("mine", entry.name, recursive=True)


@pytest.fixture
def files_http(home):
    port = json.loads((home.folder / "daemon.lock").read_text())["port"]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1/instances/mine/files") as client:
        yield client


def inside(home):
    [folder] = (home.folder / "workspaces").glob("local-*/home")
    return folder


def test_uploaded_file_is_seen_by_the_workspace_and_its_changes_are_downloaded(
    home, files, tmp_path
):
    (tmp_path / "table.csv").write_bytes(MEGABYTE * 9 + b"end")
    done = files.upload("mine", tmp_path / "table.csv", "data.csv")
    assert (done.received, done.complete) == (9 * len(MEGABYTE) + 3, True)
    process = home.cli("exec", "mine", "--", "sh", "-c", "wc -c <data.csv; echo more >>data.csv")
    assert process.stdout.strip() == str(done.received)
    assert files.download("mine", "data.csv", tmp_path / "back") == done.received + 5
    assert (tmp_path / "back").read_bytes() == MEGABYTE * 9 + b"endmore\n"
    assert b"".join(files.read("mine", "data.csv", done.received)) == b"more\n"


def test_files_of_a_stopped_workspace_can_be_listed_and_uploaded(home, files, tmp_path):
    (tmp_path / "note").write_text("x")
    files.make_folder("mine", "kept/deep")
    home.client.workspaces.stop("mine", wait=60)
    try:
        files.upload("mine", tmp_path / "note", "kept/note")
        assert [entry.name for entry in files.list("mine", "kept").entries] == ["deep", "note"]
    finally:
        home.client.workspaces.start("mine", wait=60)
    assert home.cli("exec", "mine", "--", "cat", "kept/note").stdout == "x"


def test_file_changes_are_recorded_as_events_with_their_actor(home, files, tmp_path):
    (tmp_path / "note").write_text("x")
    files.upload("mine", tmp_path / "note", "a")
    files.rename("mine", "a", "b")
    files.remove("mine", "b")
    facts = home.cli_json("audit", "--limit", "10")
    changes = [fact for fact in facts if fact["event"] == "instance_files_changed"][:3]
    assert [change["data"]["action"] for change in changes] == ["removed", "renamed", "uploaded"]
    assert {change["actor"] for change in changes} == {"ada@example.org"}


def test_refused_file_request_changes_no_files(home, files, tmp_path):
    (tmp_path / "note").write_text("new")
    files.upload("mine", tmp_path / "note", "folder.d")
    files.make_folder("mine", "folder/below")
    with pytest.raises(AlreadyExists):
        files.upload("mine", tmp_path / "note", "folder.d")
    with pytest.raises(WrongFileKind):
        files.upload("mine", tmp_path / "note", "folder", replace=True)
    with pytest.raises(FolderNotEmpty):
        files.remove("mine", "folder")
    with pytest.raises(FileMissing):
        files.list("mine", "nowhere")
    for path in ("../token", "/etc/passwd", "a/../../token", "a\0b"):
        for work in (files.list, files.remove, files.make_folder, lambda *it: [*files.read(*it)]):
            with pytest.raises(ValidationFailed):
                work("mine", path)
        with pytest.raises(ValidationFailed):
            files.rename("mine", "folder.d", path)
        with pytest.raises(ValidationFailed):
            files.upload("mine", tmp_path / "note", path)
    with pytest.raises(ValidationFailed):
        files.remove("mine", "", recursive=True)
    names = [entry.name for entry in files.list("mine").entries if not entry.name.startswith(".")]
    assert names == ["folder", "folder.d"]


def test_links_out_of_the_home_are_refused_with_wrong_file_kind(home, files, files_http):
    """A program in the workspace makes the links, and can change them at any time."""
    (home.folder / "secret").write_text("of the daemon")
    script = (
        f"ln -s {home.folder}/secret link; ln -s {home.folder} up; mkfifo pipe; ln -s up/secret x"
    )
    assert home.cli("exec", "mine", "--", "sh", "-c", script).returncode == 0
    for path in ("link", "up/secret", "up/daemon.lock", "pipe", "x"):
        answer = files_http.get("content", params={"path": path})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "WRONG_FILE_KIND")
        upload = files_http.put("content", params={"path": f"{path}/new"}, content=b"x")
        assert upload.status_code == 409, path
    assert files_http.get("", params={"path": "up"}).status_code == 409
    assert files_http.delete("", params={"path": "up", "recursive": "true"}).status_code == 200
    assert (home.folder / "secret").read_text() == "of the daemon"
    assert (home.folder / "daemon.lock").exists()


def test_downloaded_file_is_never_rendered_by_a_browser(files_http, files):
    files_http.put("content", params={"path": "page.html"}, content=b"<script>alert(1)</script>")
    answer = files_http.get("content", params={"path": "page.html"})
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''page.html"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox")


def test_download_returns_the_requested_byte_range(files_http, files):
    files_http.put("content", params={"path": "ten"}, content=b"0123456789")

    def part(**headers):
        return files_http.get("content", params={"path": "ten"}, headers=headers)

    whole = part()
    assert (whole.status_code, whole.content) == (200, b"0123456789")
    rest = part(Range="bytes=7-")
    assert (rest.status_code, rest.content) == (206, b"789")
    assert rest.headers["content-range"] == "bytes 7-9/10"
    same = {"Range": "bytes=7-", "If-Range": whole.headers["etag"]}
    assert part(**same).content == b"789"
    files_http.put("content", params={"path": "ten", "replace": "true"}, content=b"abcdefghij")
    assert part(**same).content == b"abcdefghij"
    past = part(Range="bytes=10-")
    assert (past.status_code, past.headers["content-range"]) == (416, "bytes */10")
    assert past.json()["error"]["code"] == "RANGE_NOT_SATISFIABLE"
    files_http.put("content", params={"path": "none"}, content=b"")
    assert files_http.get("content", params={"path": "none"}).content == b""


def test_upload_in_pieces_requires_the_next_offset_and_respects_the_size(files_http, files):
    def piece(content, offset, size=10, **more):
        query = {"path": "p", "offset": offset, "size": size, **more}
        return files_http.put("content", params=query, content=content)

    assert piece(b"01234", 0).json()["complete"] is False
    assert files_http.get("content", params={"path": "p"}).status_code == 404
    refused = piece(b"56789", 3)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "UPLOAD_OFFSET")
    assert refused.json()["error"]["data"] == {"received": 5}
    assert piece(b"5678901", 5).status_code == 400  # more than its size
    assert piece(b"", 11).status_code == 422
    done = piece(b"56789", 5).json()
    assert (done["received"], done["complete"]) == (10, True)
    assert files_http.get("content", params={"path": "p"}).content == b"0123456789"
    for wrong in ({"offset": -1}, {"offset": "x"}, {"size": -1}):
        query = {"path": "q", **wrong}
        assert files_http.put("content", params=query, content=b"").status_code == 422


@pytest.mark.parametrize("size", [None, FILE_CHUNK + 4])
def test_interrupted_upload_creates_no_file_and_can_continue_if_it_has_a_size(
    files_http, files, size
):
    """With a size, Prism keeps the part that it received; without a size, it deletes it."""

    def parts():
        entries = files.list("mine").entries
        return [entry.size for entry in entries if entry.name.startswith(".prism-part")]

    with begun(
        files_http, "path=cut" + (f"&size={size}" if size else ""), FILE_CHUNK + 4
    ) as upload:
        upload.send(b"0" * FILE_CHUNK)
        eventually(lambda: parts() == [FILE_CHUNK])
    eventually(lambda: parts() == ([FILE_CHUNK] if size else []))
    assert "cut" not in [entry.name for entry in files.list("mine").entries]
    if size:
        query = {"path": "cut", "offset": FILE_CHUNK, "size": size}
        # The continuation is refused until the daemon has given up the interrupted upload.
        sent = lambda: files_http.put("content", params=query, content=b"5678").json()  # noqa: E731
        assert eventually(lambda: sent().get("complete")) is True


def test_upload_leaves_no_part_if_another_file_gets_the_name_first(home, files_http, files):
    with begun(files_http, "path=taken", 4) as upload:
        upload.send(b"12")
        eventually(lambda: [*inside(home).glob(".prism-part-*")])
        (inside(home) / "taken").write_text("theirs")
        upload.send(b"34")
        assert upload.getresponse().status == 409
    eventually(lambda: not [*inside(home).glob(".prism-part-*")])
    assert b"".join(files.read("mine", "taken")) == b"theirs"


@contextlib.contextmanager
def begun(client, query, length):
    """An upload whose body is not complete yet."""
    connection = http.client.HTTPConnection("127.0.0.1", client.base_url.port)
    connection.putrequest("PUT", f"/api/v1/instances/mine/files/content?{query}")
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    with contextlib.closing(connection):
        yield connection


def test_second_upload_of_the_same_file_is_refused_while_the_first_runs(files_http, files):
    def refused():
        answer = files_http.put("content", params={"path": "same"}, content=b"x")
        return answer.status_code == 409 and answer.json()["error"]["code"] == "UPLOAD_IN_PROGRESS"

    for _ in range(20):
        with begun(files_http, "path=same&size=2&replace=true", 2) as upload:
            upload.send(b"0")
            eventually(lambda: is_answered(upload) or refused())
            if is_answered(upload):
                continue  # the other upload was first, so this one was refused
            upload.send(b"1")
            assert upload.getresponse().status == 200
            break
    assert b"".join(files.read("mine", "same")) == b"01"


def is_answered(connection):
    return bool(select.select([connection.sock], [], [], 0)[0])


def test_files_command_puts_lists_renames_downloads_and_removes_files(home, files, tmp_path):
    source = tmp_path / "input.txt"
    source.write_text("hello")
    assert home.cli("files", "put", "mine", str(source)).returncode == 0
    assert home.cli("files", "put", "mine", str(source)).returncode != 0
    assert home.cli("files", "put", "mine", str(source), "--force").returncode == 0
    home.cli_json("files", "mkdir", "mine", "data")
    home.cli_json("files", "put", "mine", str(source), "data/")
    home.cli_json("files", "mv", "mine", "data/input.txt", "data/~odd name")
    names = [entry["name"] for entry in home.cli_json("files", "ls", "mine", "~/data")["entries"]]
    assert names == ["~odd name"]
    assert "~odd name" in home.cli("files", "ls", "mine", "data").stdout
    home.cli_json("files", "get", "mine", "data/~odd name", str(tmp_path))
    assert (tmp_path / "~odd name").read_text() == "hello"
    again = home.cli("files", "get", "mine", "data/~odd name", str(tmp_path))
    assert again.returncode != 0
    assert home.cli("files", "rm", "mine", "data").returncode != 0  # no terminal to ask
    assert home.cli("files", "rm", "mine", "data", "--yes").returncode != 0  # it is not empty
    home.cli_json("files", "rm", "mine", "data", "-r", "--yes")
    assert [entry["name"] for entry in home.cli_json("files", "ls", "mine")["entries"]][
        -1
    ] == "input.txt"


def test_failed_download_leaves_no_local_file(home, files, tmp_path):
    with pytest.raises(FileMissing):
        files.download("mine", "nowhere", tmp_path / "here")
    assert os.listdir(tmp_path) == []


def test_files_of_a_terminated_workspace_are_refused(home, tmp_path):
    home.client.workspaces.launch("Plain Shell", "brief")
    home.client.workspaces.wait("brief", "running", 60)
    home.client.workspaces.terminate("brief", wait=60)
    with pytest.raises(InvalidState):
        home.client.files.list("brief")
