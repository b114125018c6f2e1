"""Files of workspaces on a lab server: what a hostile server may answer, and the real commands."""

import json
import os
import subprocess

import pytest

from prism.files.model import DiskFull
from prism.providers.ssh.commands import AnswerInvalid
from prism.providers.ssh.files import LabFiles
from prism.providers.ssh.model import NotOnServers, ServerUnreachable
from tests.daemons import BIN
from tests.providers.ssh.conftest import LAB
from tests.providers.ssh.test_life import LabHome
from tests.waiting import eventually

pytestmark = LAB
ID = "ssh-" + "0" * 17
HOSTILE = """
import json, os, struct, sys, time
def send(kind, body):
    data = struct.pack("!cI", kind, len(body)) + body
    while data:
        data = data[os.write(1, data):]
def entries(*names):
    send(b"E", json.dumps([[name, "file", 1, 1] for name in names]).encode())
os.write(1, f"\\n{sys.argv[1]}\\n".encode())
"""
DONE = 'send(b"A", b\'{"truncated": false}\')'
OPENED = """send(b"A", json.dumps({"size": 10, "tag": '"a"'}).encode())"""


@pytest.fixture
def home(tmp_path, lab):
    person = LabHome(tmp_path / "prism", lab)
    yield person
    person.clear()


@pytest.fixture
def hostile(lab, server):
    """Makes the server answer every request about files as a script says."""
    server.facts()

    def become(script):
        [program] = lab.home.glob(".prism-server/agent/*/prism/agent/lab/host.py")
        # It does not end before it was asked.
        program.write_text(f"{HOSTILE}{script}\nsys.stdin.buffer.read()\n")
        return LabFiles(server)

    return become


LISTINGS = [
    'entries("../../etc/passwd")',
    'entries("a/b")',
    'entries("..")',
    'entries("")',
    'entries("a\\0b")',
    'entries("x" * 1000)',
    'send(b"E", b"[[\\"a\\", \\"device\\", 1, 1]]")',
    'send(b"E", b"[[\\"a\\", \\"file\\", -1, 1]]")',
    'send(b"E", b"[[\\"a\\", \\"file\\", 1e400, 1]]")',
    'send(b"E", b"[" * 100000)',
    'send(b"E", b"[]")',
    'send(b"E", b"[" + b"9" * 5000 + b"]")',
    "while True: entries('a')",
    'send(b"D", b"bytes")',
    'send(b"A", b"{}")',
    'send(b"F", b"{}")',
    'os.write(1, struct.pack("!cI", b"A", 2 ** 32 - 1))\ntime.sleep(100)',
]


@pytest.mark.parametrize("script", LISTINGS)
def test_listing_that_is_none_is_refused(hostile, script):
    with pytest.raises(AnswerInvalid):
        hostile(f"{script}\n{DONE}").scan(ID, "", 10)


def test_hostile_name_is_text_and_never_a_path(hostile):
    script = f'entries("a\\nb", "\\x1b[2J", "\\udce9", "~", "-rf")\n{DONE}'
    names = [entry.name for entry in hostile(script).scan(ID, "", 10).entries]
    assert names == ["a\nb", "\x1b[2J", "\ufffd", "~", "-rf"]


def test_piece_that_is_longer_than_requested_is_refused(hostile):
    file = hostile(f"{OPENED}\nsend(b'D', b'x' * 11)\ntime.sleep(100)").open(ID, "a")
    with pytest.raises(AnswerInvalid):
        file.read(0, 10)
    file.close()


def test_size_that_lies_ends_where_the_bytes_end(hostile):
    file = hostile(f"{OPENED}\nsend(b'D', b'xyz')\nsend(b'D', b'')\ntime.sleep(100)").open(ID, "a")
    assert (file.size, file.read(0, 10), file.read(3, 7)) == (10, b"xyz", b"")
    file.close()


def test_server_that_hangs_is_left(hostile, monkeypatch):
    monkeypatch.setattr("prism.providers.ssh.files.STEP_SECONDS", 0.5)
    files = hostile("time.sleep(100)")
    for _ in range(6):  # more than may be open at once: each was given back
        with pytest.raises(ServerUnreachable):
            files.open(ID, "a")


def test_refusal_of_the_server_is_cut(hostile):
    words = {"kind": "full", "message": "m" * 5000, "details": "d" * 5000}
    refusal = json.dumps({**words, "remediation": "", "received": 0})
    files = hostile(f"send(b'F', {refusal.encode()!r})\ntime.sleep(100)")
    with pytest.raises(DiskFull) as refused:
        files.remove(ID, "a", recursive=True)
    assert len(refused.value.message) + len(refused.value.details) <= 2000


def test_failure_of_a_piece_is_told_before_the_file_has_its_name(hostile):
    refusal = {"kind": "full", "message": "m", "details": "", "remediation": "", "received": 0}
    script = f"send(b'A', b'null')\nsend(b'F', {json.dumps(refusal).encode()!r})\n"
    upload = hostile(f"{script}send(b'A', b'null')\ntime.sleep(100)").begin(
        ID, "a", 0, replace=False
    )
    upload.write(b"x")
    with pytest.raises(DiskFull):
        upload.finish()
    upload.close(discard=False)


def test_further_file_waits_for_its_turn(hostile, monkeypatch):
    monkeypatch.setattr("prism.providers.ssh.files.TURN_SECONDS", 0.1)
    files = hostile(f"{OPENED}\ntime.sleep(100)")
    opened = [files.open(ID, "a") for _ in range(4)]
    with pytest.raises(NotOnServers, match="being copied"):
        files.open(ID, "a")
    opened.pop().close()
    eventually(lambda: files.open(ID, "a"), passing=(NotOnServers,)).close()
    for file in opened:
        file.close()


def test_first_request_ships_the_program(lab, server):
    home = lab.home / ".prism-server" / "workspaces" / ID / "home"
    home.mkdir(parents=True)
    for folder in (home, *list(home.parents)[:3]):
        os.chown(folder, lab.uid, lab.uid)
    (home / "notes").write_text("kept")
    assert [entry.name for entry in LabFiles(server).scan(ID, "", 10).entries] == ["notes"]


def ssh_options(home: LabHome) -> list[str]:
    """The options with which programs of OpenSSH reach workspaces."""
    config = home.folder / "ssh_config"
    config.write_text(home.must("ssh-config"))
    return ["-F", str(config)]


def test_files_are_listed_edited_and_copied_both_ways(lab, home, tmp_path):
    big, back = tmp_path / "big", tmp_path / "back"
    big.write_bytes(os.urandom(5 << 20))
    with home.run_daemon():
        home.begin()
        home.must("launch", "plain-shell", "box")
        home.must("files", "mkdir", "box", "data/raw")
        home.must("cp", str(big), "box:data/raw/big")
        assert "big" in home.must("files", "ls", "box", "data/raw")
        home.must("cp", "box:data/raw/big", str(back))
        assert back.read_bytes() == big.read_bytes()
        assert home.inside("box", "wc -c < data/raw/big").strip() == str(5 << 20)
        home.inside("box", f"ln -s {lab.home} out; ln -s / all; echo secret > notes")
        (lab.home / "thesis.tex").write_text("of the account")
        for path in ("out/thesis.tex", f"all{lab.home}/thesis.tex"):
            assert home.cli("files", "get", "box", path, str(tmp_path / "got")).returncode != 0
        assert not (tmp_path / "got").exists()
        home.must("files", "mv", "box", "notes", "renamed")
        home.must("files", "rm", "box", "data", "--recursive", "--yes")
        home.must("stop", "box")
        assert "renamed" in home.must("files", "ls", "box")  # also while it is off
        home.must("start", "box")
        assert home.inside("box", "cat renamed").strip() == "secret"


def test_openssh_scp_sftp_and_rsync_reach_the_home(lab, home, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(os.urandom(1 << 20))
    environ = {**home.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}

    def runs(*argv: str, input: str = "") -> str:
        done = subprocess.run(
            argv, env=environ, input=input, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with home.run_daemon():
        home.begin()
        home.must("launch", "plain-shell", "box")
        options = ssh_options(home)
        assert runs("ssh", *options, "box.prism", "id -u").strip() == str(lab.uid)
        runs("scp", *options, str(file), "box.prism:by-scp")
        runs("scp", *options, "box.prism:by-scp", str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == file.read_bytes()
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree" / "leaf").write_text("green")
        shell = " ".join(["ssh", *options])
        runs("rsync", "-a", "-e", shell, f"{tmp_path}/tree/", "box.prism:tree/")
        assert home.inside("box", "cat tree/leaf") == "green"
        (lab.home / "thesis.tex").write_text("of the account")
        batch = f"-get {lab.home}/thesis.tex {tmp_path}/stolen\nls\n"
        listed = runs("sftp", *options, "-b", "-", "box.prism", input=batch)
        assert "by-scp" in listed
        assert not (tmp_path / "stolen").exists()
