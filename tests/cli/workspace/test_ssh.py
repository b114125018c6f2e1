"""`prism ssh`, `exec`, `cp` and `ssh-config`, with a fake and with the real OpenSSH."""

import contextlib
import hashlib
import json
import os
import pty
import signal
import stat
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import psutil
import pytest

from prism.cli.ssh_client import parsed
from prism.cli.workspace import ssh_config
from prism.cli.workspace.cp import RENAME
from tests.client.scripted import problem
from tests.optional import not_none
from tests.project.home import Home
from tests.waiting import eventually

pytestmark = pytest.mark.needs("ssh", "scp", "rsync")

CONNECT = "GET /instances/mine/connect"
REAL = os.environ["PATH"]
BIN = os.path.dirname(sys.executable)
SHELL_PREFIX = """/bin/sh -c '"$@"; exit $?' sh"""


@pytest.fixture
def key(home):
    """The daemon's key, with a space and a percent sign in its path."""
    file = home / "100% ours"
    file.write_text("")
    return file


@pytest.fixture
def access(home, key):
    command = f"ssh -p 2222 -i '{key}' -o UserKnownHostsFile='{home}/known_hosts' mine@127.0.0.1"
    ssh = {"command": command, "host": "127.0.0.1", "user": "mine", "port": 2222}
    return {"ssh": ssh, "services": {}}


@pytest.fixture
def programs(home):
    """A PATH with a fake `ssh` that prints its arguments."""
    folder = home / "bin"
    folder.mkdir()
    (folder / "ssh").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 41\n')
    (folder / "ssh").chmod(0o755)
    return f"{folder}:{REAL}"


def test_ssh_receives_host_port_user_and_keys_as_options(prism, server, access, programs, home):
    server.on(CONNECT, access)
    done = prism("ssh", "mine", PATH=programs)
    assert done.returncode == 41
    assert done.stdout.splitlines() == [
        *("-o", "HostName=127.0.0.1", "-o", "Port=2222", "-o", "User=mine"),
        *("-o", f'IdentityFile="{home}/100%% ours"', "-o", "IdentitiesOnly=yes"),
        *("-o", f"UserKnownHostsFile={home}/known_hosts", "-o", "StrictHostKeyChecking=yes"),
        *("--", "127.0.0.1"),
    ]


def test_exec_waits_until_the_daemon_offers_ssh(prism, server, access, programs):
    early = {"ssh": {"command": None, "host": "127.0.0.1", "user": "mine"}, "services": {}}
    server.on(CONNECT, early, early, access)
    assert prism("exec", "mine", "--", "true", PATH=programs).returncode == 41
    assert len(server.asked_for(CONNECT)) == 3


def test_ssh_passes_a_shell_line_and_exec_quotes_arguments(prism, server, access, programs):
    server.on(CONNECT, access)
    line = prism("ssh", "mine", "--", "cd x && ls", "*", PATH=programs)
    assert line.stdout.splitlines()[-2:] == ["127.0.0.1", "cd x && ls *"]
    program = prism("exec", "mine", "--", "ls", "--json", "a  b", "*", PATH=programs)
    assert program.stdout.splitlines()[-4:] == [
        "-T",
        "--",
        "127.0.0.1",
        f"{SHELL_PREFIX} ls --json 'a  b' '*'",
    ]
    argv = json.loads(prism("exec", "mine", "--json", "--tty", "--", "top").stdout)["argv"]
    assert (argv[0], argv[-4:]) == ("ssh", ["-tt", "--", "127.0.0.1", f"{SHELL_PREFIX} top"])


def test_ssh_runs_prisms_own_client_if_openssh_is_not_installed(prism, server, access, home):
    server.on(CONNECT, access)
    done = prism("ssh", "mine", "--json", "--", "ls", "-a", PATH=str(home / "nowhere"))
    argv = json.loads(done.stdout)["argv"]
    assert argv[:4] == [sys.executable, "-P", "-m", "prism.cli.ssh_client"]
    request = parsed(argv[4:], on_terminal=True)
    settings = {"host": "127.0.0.1", "port": 2222, "user": "mine"}
    files = {"key": f"{home}/100% ours", "known_hosts": f"{home}/known_hosts", "by": []}
    assert request == (settings | files, "ls -a", False)


@pytest.mark.parametrize(
    ("words", "on_terminal", "command", "terminal"),
    [
        (["--", "h"], True, None, True),
        (["--", "h"], False, None, False),
        (["-T", "--", "h", "-x"], True, "-x", False),
        (["-t", "--", "h", "top"], True, "top", True),
        (["-t", "--", "h", "top"], False, "top", False),
        (["-tt", "--", "h", "top"], False, "top", True),
        (["h", "rsync", "--server", "-v"], False, "rsync --server -v", False),
    ],
)
def test_own_client_reads_the_command_line_like_openssh(words, on_terminal, command, terminal):
    request = parsed(["{}", *words], on_terminal=on_terminal)
    assert (request.command, request.terminal) == (command, terminal)


def test_ssh_and_exec_report_a_missing_command_or_key(prism, server, access, key):
    server.on(CONNECT, access)
    done = prism("exec", "mine")
    assert (done.returncode, "no command to run" in done.stderr) == (2, True)
    key.unlink()
    done = prism("ssh", "mine")
    assert (done.returncode, "is not on this computer" in done.stderr) == (1, True)
    server.on(CONNECT, {"ssh": {"command": None, "host": "h", "user": "u"}, "services": {}})
    done = prism("ssh", "mine")
    assert (done.returncode, "mine has no SSH" in done.stderr) == (1, True)


def test_cp_requires_exactly_one_workspace_path(prism):
    for ends in (("a", "b"), ("x:a", "y:b"), ("./x:a", "/b")):
        done = prism("cp", *ends)
        assert (done.returncode, "; one has to be" in done.stderr) == (2, True)


@pytest.fixture
def listed_workspaces(server, access, home):
    server.on(CONNECT, access)
    server.on("GET /instances/lost/connect", problem(409, "INVALID_STATE", "lost went away"))
    rows = {"mine": "running", "off": "stopped", "lost": "running"}
    server.on("GET /instances", [{"name": name, "state": row} for name, row in rows.items()])
    return home / ".ssh" / "config"


def test_ssh_config_prints_hosts_that_openssh_accepts(prism, listed_workspaces, home):
    done = prism("ssh-config")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "Host mine.prism\n"
        "  HostName 127.0.0.1\n"
        "  Port 2222\n"
        "  User mine\n"
        f'  IdentityFile "{home}/100%% ours"\n'
        "  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {home}/known_hosts\n"
        "  StrictHostKeyChecking yes\n"
        "\n"
        "# off.prism: stopped\n"
        "# lost.prism: lost went away\n"
    )
    assert list(json.loads(prism("ssh-config", "--json").stdout)) == ["mine.prism"]
    (home / "c").write_text(done.stdout)
    argv = ["ssh", "-G", "-F", home / "c", "mine.prism"]
    known = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {"hostname 127.0.0.1", "port 2222", "user mine"} < set(known)
    assert f"identityfile {home}/100% ours" in {
        known_name.replace("%%", "%") for known_name in known
    }


def test_ssh_config_write_includes_its_file_once(prism, listed_workspaces, home):
    listed_workspaces.parent.mkdir()
    elsewhere = home / "dotfiles"
    elsewhere.write_text("Host x\n  User y\n")
    elsewhere.chmod(0o640)
    listed_workspaces.symlink_to(elsewhere)
    for _ in range(2):
        done = prism("ssh-config", "--write", "--yes")
        assert (done.returncode, done.stdout) == (0, "ssh now knows mine.prism\n")
    include = f'Include "{home}/ssh/config"\n'
    assert elsewhere.read_text() == f"{include}Host x\n  User y\n"
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o640
    assert listed_workspaces.is_symlink()
    assert stat.S_IMODE((home / "ssh" / "config").stat().st_mode) == 0o600
    assert "Host mine.prism" in (home / "ssh" / "config").read_text()
    assert not [*home.glob("**/*.new")]


def test_ssh_config_write_ignores_an_include_inside_a_host_block(prism, listed_workspaces, home):
    listed_workspaces.parent.mkdir()
    include = f'Include "{home}/ssh/config"\n'
    listed_workspaces.write_text(f"Host x\n  {include}")
    assert prism("ssh-config", "--write", "--yes").returncode == 0
    assert listed_workspaces.read_text() == f"{include}Host x\n  {include}"


def test_ssh_config_write_requires_confirmation(prism, run_on_terminal, listed_workspaces):
    done = prism("ssh-config", "--write")
    assert (done.returncode, "there is no terminal to ask on" in done.stderr) == (1, True)
    code, screen = run_on_terminal("ssh-config", "--write", keys="n\n")
    assert (code, "was not changed" in screen) == (1, True)
    assert not listed_workspaces.exists()
    code, screen = run_on_terminal("ssh-config", "--write", keys="y\n")
    assert (code, "ssh now knows mine.prism" in screen) == (0, True)
    assert stat.S_IMODE(listed_workspaces.stat().st_mode) == 0o600
    assert stat.S_IMODE(listed_workspaces.parent.stat().st_mode) == 0o700


def test_ssh_config_keeps_what_was_written_during_its_question(tmp_path, monkeypatch):
    own = tmp_path / ".ssh" / "config"
    own.parent.mkdir()
    monkeypatch.setenv("HOME", f"{tmp_path}")
    monkeypatch.setattr(ssh_config, "_ask", lambda *_: own.write_text("Host x\n"))
    ssh_config._include("/ours", sure=False)
    assert own.read_text() == 'Include "/ours"\nHost x\n'


@pytest.fixture(scope="module")
def home_with_workspace(tmp_path_factory):
    """A home with a daemon and a workspace."""
    home = Home(tmp_path_factory.mktemp("ssh") / "home")
    try:
        with home.run_daemon():
            home.client.workspaces.launch("Plain Shell", "mine")
            eventually(lambda: home.states() == ["running"], 120)
            yield home
    finally:
        home.clear()


def run_prism(home, *words, **how):
    """Run the real command; its output is bytes."""
    argv = ["prism", *map(str, words)]
    path = {"PATH": f"{BIN}:{REAL}"}
    environ = home.environ | path | how.pop("environ", {})
    return subprocess.run(argv, env=environ, capture_output=True, timeout=120, **how)


# Prism's own client runs where OpenSSH's is not on PATH.
CLIENTS = {"openssh": {}, "own": {"PATH": BIN}}
both_clients = pytest.mark.parametrize("client", CLIENTS)


@both_clients
def test_exec_passes_stdin_stdout_and_the_exit_code(home_with_workspace, client):
    every = bytes(range(256)) * 1000

    def run(*words, **how):
        return run_prism(home_with_workspace, *words, environ=CLIENTS[client], **how)

    done = run("exec", "mine", "--", "sh", "-c", 'cat; echo "$1" >&2; exit 9', "sh", "a  b")
    assert (done.returncode, done.stderr) == (9, b"a  b\n")
    for name, code in (("KILL", 137), ("TERM", 143)):
        done = run("exec", "mine", "--", "sh", "-c", f"kill -{name} $$; sleep 60")
        assert (done.returncode, done.stdout) == (code, b"")
    assert run("exec", "mine", "--", "cat", input=every).stdout == every
    assert run("ssh", "mine", "--", "cd / && pwd").stdout == b"/\n"
    line = run("ssh", "mine", "--", "kill -TERM $$; sleep 60")
    assert (line.returncode, line.stdout) == (255, b"")


def test_own_client_does_not_read_modules_from_the_current_folder(home_with_workspace, tmp_path):
    (tmp_path / "asyncssh.py").write_text("print('read')")
    how = {"environ": CLIENTS["own"], "cwd": tmp_path}
    assert run_prism(home_with_workspace, "exec", "mine", "--", "true", **how).stdout == b""


def test_own_client_reads_and_writes_files_and_closed_pipes(home_with_workspace, tmp_path):
    """A file cannot be watched like a pipe, and `head` closes its end early."""
    (tmp_path / "in").write_bytes(bytes(3_000_000))
    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as target:
        argv = [f"{BIN}/prism", "exec", "mine", "--", "cat"]
        environ = home_with_workspace.environ | CLIENTS["own"]
        subprocess.run(argv, stdin=source, stdout=target, env=environ, check=True, timeout=120)
    assert (tmp_path / "out").read_bytes() == bytes(3_000_000)
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    endless = [f"{BIN}/prism", "exec", "mine", "--", "yes"]
    with subprocess.Popen(endless, env=environ, stdin=nothing, stdout=pipe) as child:
        assert not_none(child.stdout).readline() == b"y\n"
        not_none(child.stdout).close()
        assert child.wait(120) != 0


def test_own_client_refuses_another_host_key(home_with_workspace, tmp_path):
    argv = run_prism(home_with_workspace, "ssh", "mine", "--json", environ=CLIENTS["own"]).stdout
    *words, settings, dashes, host = json.loads(argv)["argv"]
    known = json.loads(settings)
    names = Path(known["known_hosts"]).read_text().split()[0::3]
    other = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    lines = [f"{name} ssh-ed25519 {other}\n" for name in names]
    (tmp_path / "known_hosts").write_text("".join(lines))
    changed = json.dumps(known | {"known_hosts": str(tmp_path / "known_hosts")})
    done = subprocess.run([*words, changed, dashes, host, "true"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (255, "")
    assert done.stderr == "ssh: the host key is not the one that is known for this address\n"


def test_own_client_gives_a_shell_the_terminal_and_restores_it(home_with_workspace):
    """What is typed reaches the shell as it is; afterwards the terminal has its modes again."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (31, 97))
    modes = termios.tcgetattr(theirs)
    argv = [f"{BIN}/prism", "ssh", "mine"]
    environ = home_with_workspace.environ | CLIENTS["own"] | {"TERM": "xterm"}
    ends: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    screen = bytearray()

    def shows(text):
        with contextlib.suppress(BlockingIOError):
            screen.extend(os.read(ours, 65536))
        return text in screen

    os.set_blocking(ours, False)
    with subprocess.Popen(argv, env=environ, start_new_session=True, **ends) as child:
        try:
            os.write(ours, b"PS1='<'ready'> '; stty size; echo a${TERM}b\n")
            eventually(lambda: shows(b"31 97\r\naxtermb\r\n") and shows(b"<ready> "), 120)
            screen.clear()
            os.write(ours, b"sh -c 'echo be\"gun\"; exec sleep 1000'\n")
            eventually(lambda: shows(b"begun\r\n"), 120)
            termios.tcsetwinsize(theirs, (20, 60))
            child.send_signal(signal.SIGWINCH)
            os.write(ours, b"\x03")  # ends `sleep`, not the client
            eventually(lambda: shows(b"<ready> "), 120)
            os.write(ours, b"stty size; exit 5\n")
            eventually(lambda: shows(b"20 60\r\n"), 120)
            assert child.wait(120) == 5
        finally:
            child.kill()
    assert termios.tcgetattr(theirs) == modes
    os.close(ours)
    os.close(theirs)


def folder_with_script(folder, name, *lines):
    """A folder with one program, a shell script of these lines."""
    folder.mkdir()
    (folder / name).write_text("\n".join(("#!/bin/sh", *lines, "")))
    (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def without_rsync(tmp_path):
    """The environment of a computer that has `ssh` and `scp` only."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for program in ("ssh", "scp"):
        (bare / program).symlink_to(f"/usr/bin/{program}")
    return {"PATH": f"{bare}:{BIN}"}


@pytest.fixture
def path_of(without_rsync, tmp_path):
    """The environment in which `prism cp` copies by that program."""
    only_rsync = tmp_path / "rsync-only"
    only_rsync.mkdir()
    (only_rsync / "rsync").symlink_to("/usr/bin/rsync")
    rsync_without_openssh = {"PATH": f"{only_rsync}:{BIN}"}
    return {
        "rsync": {},
        "scp": without_rsync,
        "sftp": CLIENTS["own"],
        "rsync, no ssh": rsync_without_openssh,
    }.get


@pytest.mark.parametrize(
    "by", ["rsync", pytest.param("scp", marks=pytest.mark.slow), "sftp", "rsync, no ssh"]
)
def test_cp_copies_folders_in_and_out_like_cp(home_with_workspace, tmp_path, path_of, by):
    environ, remote, by = path_of(by), f"deep/{by}", by.partition(",")[0]
    name = "it's a; $(name) ü*"
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / name).write_bytes(os.urandom(100_000))
    (tmp_path / "tree" / "run").write_text("#!/bin/sh\n")
    (tmp_path / "tree" / "run").chmod(0o755)
    whole = content(tmp_path / "tree")

    def cp(*ends):
        done = run_prism(home_with_workspace, "cp", *ends, "--json", environ=environ)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    copy = cp(tmp_path / "tree", f"mine:{remote}")
    assert copy == {"source": f"{tmp_path}/tree", "target": f"mine:{remote}", "by": by}
    cp(f"mine:{remote}", tmp_path / "back")
    assert content(tmp_path / "back") == whole
    cp(f"mine:{remote}", tmp_path / "back")
    assert content(tmp_path / "back" / os.path.basename(remote)) == whole
    cp(tmp_path / "tree" / "sub" / name, "mine:")
    cp(f"mine:{name}", tmp_path / "new" / "one")
    assert (tmp_path / "new" / "one").read_bytes() == whole[f"sub/{name}"][0]
    assert run_prism(home_with_workspace, "cp", "mine:nowhere", tmp_path).returncode == 1
    # `~` is the home in the workspace, only at the front; `~root` is not expanded
    source = tmp_path / "one"
    source.write_text(by)
    assert cp(source, f"mine:~/data-{by}/f")["target"] == f"mine:data-{by}/f"
    assert cp(source, "mine:~")["target"] == cp(source, "mine:~/")["target"] == "mine:./one"
    cp(source, f"mine:~root/{by}")
    cp(f"mine:~/data-{by}", tmp_path / "from-home")
    assert (tmp_path / "from-home" / "f").read_text() == by
    [remote_home] = home_with_workspace.folder.glob("workspaces/*/home")
    for path in (f"data-{by}/f", "one", f"~root/{by}"):
        assert (remote_home / path).read_text() == by
    assert not (remote_home / "~").exists()


@pytest.mark.parametrize("way", ["in", pytest.param("out", marks=pytest.mark.slow)])
def test_cp_without_rsync_warns_about_links_holes_and_attributes(
    home_with_workspace, tmp_path, without_rsync, way
):
    """The bytes are copied, but hard links, holes and extended attributes are not."""
    tree, words = tmp_path / "kept", (b"hard links", b"holes", b"extended attributes")
    tree.mkdir()
    (tree / "one").write_text("x")
    os.link(tree / "one", tree / "other")
    [home] = home_with_workspace.folder.glob("workspaces/*/home")
    remote = home / f"kept-{way}"
    if way == "out":
        assert run_prism(home_with_workspace, "cp", tree, f"mine:{remote.name}").returncode == 0
        ends, got = (f"mine:{remote.name}", tmp_path / "back"), tmp_path / "back"
    else:
        ends, got = (tree, f"mine:{remote.name}"), remote
    for more in ((), ("--json",)):
        done = run_prism(home_with_workspace, "cp", *ends, *more, environ=without_rsync)
        assert done.returncode == 0, done.stderr
        assert [word in done.stderr for word in words] == [True] * 3, done.stderr
        assert b"not kept" in done.stderr
    got = got / remote.name if way == "out" and (got / remote.name).exists() else got
    assert (got / "one").read_text() == (got / "other").read_text() == "x"
    assert (got / "one").stat().st_ino != (got / "other").stat().st_ino
    assert run_prism(home_with_workspace, "cp", *ends).stderr == b"", "no warning with rsync"


def content(folder):
    """The bytes and the mode of each file, by path."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mode) for file in files
    }


def test_cp_transfers_only_the_missing_part_of_a_file(home_with_workspace, tmp_path):
    whole = os.urandom(24_000_000)
    (tmp_path / "big").write_bytes(whole)
    [remote_home] = home_with_workspace.folder.glob("workspaces/*/home")
    (remote_home / "big").write_bytes(whole[:23_000_000])
    argv = ["cp", tmp_path / "big", "mine:big", "--json"]
    assert (
        run_prism(home_with_workspace, "exec", "mine", "true").returncode == 0
    )  # the daemon has loaded its libraries
    before = bytes_read_by_daemon(home_with_workspace)
    assert run_prism(home_with_workspace, *argv).returncode == 0
    assert (remote_home / "big").read_bytes() == whole
    assert bytes_read_by_daemon(home_with_workspace) - before < 12_000_000


def test_cp_compares_existing_files_by_content(home_with_workspace, tmp_path):
    """A damaged file can have the same size and time."""
    (tmp_path / "data").write_bytes(b"right" * 1000)
    assert run_prism(home_with_workspace, "cp", tmp_path / "data", "mine:data").returncode == 0
    [remote_home] = home_with_workspace.folder.glob("workspaces/*/home")
    at = (remote_home / "data").stat()
    (remote_home / "data").write_bytes(b"wrong" * 1000)
    os.utime(remote_home / "data", ns=(at.st_atime_ns, at.st_mtime_ns))
    assert run_prism(home_with_workspace, "cp", tmp_path / "data", "mine:data").returncode == 0
    assert (remote_home / "data").read_bytes() == b"right" * 1000


def test_cp_preserves_hard_links_holes_and_attributes(home_with_workspace, tmp_path):
    tree = tmp_path / "kept"
    tree.mkdir()
    (tree / "one").write_text("x")
    os.link(tree / "one", tree / "other")
    with open(tree / "hole", "wb") as file:
        file.truncate(20_000_000)
    with contextlib.suppress(OSError):  # not every file system has them
        os.setxattr(tree / "one", "user.note", b"kept")
    assert run_prism(home_with_workspace, "cp", tree, "mine:kept").returncode == 0
    [remote_tree] = home_with_workspace.folder.glob("workspaces/*/home/kept")
    assert (remote_tree / "one").stat().st_ino == (remote_tree / "other").stat().st_ino
    assert (remote_tree / "hole").stat().st_size == 20_000_000
    assert (remote_tree / "hole").stat().st_blocks < 1000
    assert os.listxattr(remote_tree / "one") == os.listxattr(tree / "one")


def test_cp_interrupted_with_rsync_leaves_no_partial_file(home_with_workspace, tmp_path):
    (tmp_path / "long").write_bytes(os.urandom(1 << 20) * 10)
    [remote_home] = home_with_workspace.folder.glob("workspaces/*/home")
    slow = folder_with_script(
        tmp_path / "slow",
        "rsync",
        '[ "$1" = --version ] && exec /usr/bin/rsync --version',
        'exec /usr/bin/rsync --bwlimit=100 "$@"',  # KiB a second: slower than the test
    )
    argv = [f"{BIN}/prism", "cp", tmp_path / "long", "mine:long"]
    environ = {**home_with_workspace.environ, "PATH": f"{slow}:{BIN}:{REAL}"}
    with subprocess.Popen(argv, env=environ, stderr=subprocess.DEVNULL) as cut:
        eventually(lambda: [*remote_home.glob(".long.*")] or cut.poll() is not None, 120)
        cut.terminate()
    assert cut.returncode == 1, "the copy was interrupted"
    eventually(lambda: not [*remote_home.glob(".long.*")], 120)
    assert not (remote_home / "long").exists()
    assert run_prism(home_with_workspace, "cp", tmp_path / "long", "mine:long").returncode == 0
    with open(remote_home / "long", "rb") as first, open(tmp_path / "long", "rb") as other:
        assert (
            hashlib.file_digest(first, "md5").digest()
            == hashlib.file_digest(other, "md5").digest()
        )
    assert not (remote_home / ".rsync-partial").exists()


@pytest.mark.parametrize("way", ["in", "out"])
def test_cp_interrupted_without_rsync_preserves_the_existing_file(
    home_with_workspace, tmp_path, without_rsync, way
):
    """No partial file remains either."""
    [remote_home] = home_with_workspace.folder.glob("workspaces/*/home")
    whole, old = os.urandom(1 << 20) * 10, b"what was there before"
    local_file, name = tmp_path / "here", f"cut-{way}"
    source, target = (
        (local_file, remote_home / name) if way == "in" else (remote_home / name, local_file)
    )
    ends = (local_file, f"mine:{name}") if way == "in" else (f"mine:{name}", local_file)
    source.write_bytes(whole)
    target.write_bytes(old)
    # Kbit a second: slower than the test.
    slow = folder_with_script(tmp_path / "slow", "scp", 'exec /usr/bin/scp -l 800 "$@"')
    argv = [f"{BIN}/prism", "cp", *ends]
    environ = {**home_with_workspace.environ, "PATH": f"{slow}:{without_rsync['PATH']}"}
    with subprocess.Popen(argv, env=environ, stderr=subprocess.PIPE, text=True) as cut:
        grows = lambda: any(  # noqa: E731
            path.stat().st_size for path in target.parent.glob(f"{target.name}?*")
        )
        eventually(lambda: grows() or cut.poll() is not None, 60, (FileNotFoundError,))
        cut.terminate()
        errors = not_none(cut.stderr).read()
    assert cut.returncode == 1, "the copy was interrupted"
    assert "the target has not changed" in errors
    assert target.read_bytes() == old
    eventually(lambda: [*target.parent.glob(f"{target.name}?*")] == [], 120)
    assert run_prism(home_with_workspace, "cp", *ends, environ=without_rsync).returncode == 0
    assert target.read_bytes() == whole
    assert [*target.parent.glob(f"{target.name}?*")] == []


@pytest.fixture(params=["in", "out"])
def file_to_copy(request, home_with_workspace, tmp_path):
    """A file to copy into or out of a workspace: arguments of `cp`, and the target folder."""
    [inside] = home_with_workspace.folder.glob("workspaces/*/home")
    name = tmp_path.name
    host, inside = tmp_path / "here", inside / name
    host.mkdir()
    inside.mkdir()
    source, target = (host, inside) if request.param == "in" else (inside, host)
    (source / "one").write_text("new")
    ends = (host / "one", f"mine:{name}") if request.param == "in" else (f"mine:{name}/one", host)
    return ends, target


@pytest.mark.parametrize("by", ["rsync", "scp", "sftp"])
def test_cp_refuses_to_replace_a_folder_by_a_file(home_with_workspace, file_to_copy, path_of, by):
    ends, target = file_to_copy
    (target / "one").mkdir()
    done = run_prism(home_with_workspace, "cp", *ends, environ=path_of(by))
    assert done.returncode == 1
    assert b"error: Nothing was copied" in done.stderr
    assert b"one is a folder" in done.stderr
    assert [*target.rglob("*")] == [target / "one"]


@pytest.mark.parametrize("by", ["rsync", "scp", "sftp"])
def test_cp_refuses_to_copy_into_a_file(home_with_workspace, file_to_copy, path_of, by):
    ends, target = file_to_copy
    (target / "file").write_text("mine")
    place = f"{ends[1]}/file/one"
    done = run_prism(home_with_workspace, "cp", ends[0], place, environ=path_of(by))
    assert done.returncode == 1
    assert b"error: Nothing was copied" in done.stderr
    assert b"Traceback" not in done.stderr
    assert [*target.rglob("*")] == [target / "file"]


def test_cp_refuses_to_replace_a_folder_created_meanwhile(
    home_with_workspace, file_to_copy, tmp_path, without_rsync
):
    ends, target = file_to_copy
    copy = ('/usr/bin/scp "$@" || exit', f"/bin/mkdir '{target}/one'")
    path = folder_with_script(tmp_path / "played", "scp", *copy)
    done = run_prism(
        home_with_workspace, "cp", *ends, environ={"PATH": f"{path}:{without_rsync['PATH']}"}
    )
    assert done.returncode == 1
    assert b"error: Nothing was copied" in done.stderr
    assert b"Traceback" not in done.stderr
    assert [*target.rglob("*")] == [target / "one"], "no temporary file remains"


@pytest.mark.parametrize("knows", [True, False])
def test_rename_script_works_with_and_without_mv_t(tmp_path, knows):
    (tmp_path / "draft").write_text("new")
    (tmp_path / "place").write_text("old")
    (tmp_path / "folder").mkdir()
    without = ('case "$*" in *--help*) exit 1;; *-T*) exit 1;; esac', 'exec /bin/mv "$@"')
    path = REAL if knows else f"{folder_with_script(tmp_path / 'bin', 'mv', *without)}:{REAL}"

    def rename(place):
        script = RENAME.format(draft="draft", path=place)
        how = {"cwd": tmp_path, "env": {"PATH": path}, "capture_output": True}
        return subprocess.run(["sh"], input=script.encode(), check=False, **how)

    assert (rename("folder").returncode, [*(tmp_path / "folder").iterdir()]) == (1, [])
    done = rename("place")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "place").read_text() == "new"
    assert not (tmp_path / "draft").exists()


# Each kind once in `make test`, and both ways.
@pytest.mark.parametrize(
    ("file_to_copy", "kind"),
    [
        ("in", "file"),
        ("in", "link"),
        ("out", "folder"),
        pytest.param("in", "folder", marks=pytest.mark.slow),
        pytest.param("out", "file", marks=pytest.mark.slow),
        pytest.param("out", "link", marks=pytest.mark.slow),
    ],
    indirect=["file_to_copy"],
)
def test_cp_leaves_a_file_named_like_its_temporary_file_unchanged(
    home_with_workspace, file_to_copy, tmp_path, without_rsync, kind
):
    ends, target = file_to_copy
    own, victim = target / "one.prism-part", tmp_path / "victim"
    victim.write_text("mine")
    if kind == "folder":
        own.mkdir()
    elif kind == "file":
        own.write_text("mine")
    else:
        own.symlink_to(victim)
    done = run_prism(home_with_workspace, "cp", *ends, environ=without_rsync)
    assert done.returncode == 0, done.stderr
    assert (target / "one").read_text() == "new"
    assert own.is_dir() if kind == "folder" else own.read_text() == "mine"
    assert (own.is_symlink(), victim.read_text()) == (kind == "link", "mine")
    assert len([*target.rglob("*")]) == 2


@pytest.mark.parametrize(
    "file_to_copy", ["in", pytest.param("out", marks=pytest.mark.slow)], indirect=True
)
def test_concurrent_copies_to_one_target_each_write_a_whole_file(
    home_with_workspace, file_to_copy, tmp_path, without_rsync
):
    """The first copy ends last."""
    ends, target = file_to_copy
    first, go = tmp_path / "first", tmp_path / "go"
    path = folder_with_script(
        tmp_path / "played",
        "scp",
        '/usr/bin/scp "$@" || exit',
        f"/bin/mkdir '{first}' 2>/dev/null || exit 0",
        f"until [ -e '{go}' ]; do /bin/sleep 0.05; done",
    )
    environ = {"PATH": f"{path}:{without_rsync['PATH']}"}
    argv = [f"{BIN}/prism", "cp", *ends]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv, env=home_with_workspace.environ | environ, stderr=pipe, text=True
    ) as child:
        try:
            eventually(lambda: first.exists() or child.poll() is not None, 120)
            assert not (target / "one").exists()
            assert run_prism(home_with_workspace, "cp", *ends, environ=environ).returncode == 0
            assert (target / "one").read_text() == "new"
            (target / "one").write_text("between")
        finally:
            go.touch()
        errors = not_none(child.stderr).read()
    assert child.returncode == 0, errors
    assert (target / "one").read_text() == "new"
    assert [*target.rglob("*")] == [target / "one"]


@pytest.mark.parametrize("more", [(), pytest.param(("--json",), marks=pytest.mark.slow)])
def test_failed_cp_exits_with_1_for_any_exit_code_of_rsync(home_with_workspace, tmp_path, more):
    """`rsync` exits with 3 for file errors; `prism` does so if no daemon answers."""
    (tmp_path / "rsync").write_text(
        "#!/bin/sh\n[ $1 = --version ] && exec /usr/bin/rsync --version\necho lost >&2; exit 3\n"
    )
    (tmp_path / "rsync").chmod(0o755)
    (tmp_path / "one").touch()
    path = {"PATH": f"{tmp_path}:{BIN}:{REAL}"}
    done = run_prism(home_with_workspace, "cp", tmp_path / "one", "mine:one", *more, environ=path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"lost\n" in done.stderr
    assert b"error: Not everything was copied" in done.stderr


def bytes_read_by_daemon(home):
    """The number of bytes that the daemon has read."""
    pid = json.loads((home.folder / "daemon.lock").read_text())["pid"]
    return psutil.Process(pid).io_counters().read_chars


def test_openssh_connects_with_the_written_config(home_with_workspace, tmp_path):
    done = run_prism(
        home_with_workspace, "ssh-config", "--write", "--yes", environ={"HOME": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    argv = ["ssh", "-F", tmp_path / ".ssh" / "config", "mine.prism", "echo in; exit 3"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (3, "in\n", "")


def test_cp_shows_progress_on_a_terminal(home_with_workspace, run_on_terminal, tmp_path):
    (tmp_path / "some").write_bytes(bytes(3_000_000))
    environ = {"PRISM_HOME": str(home_with_workspace.folder), "PRISM_PORT": "0"}
    code, screen = run_on_terminal("cp", str(tmp_path / "some"), "mine:some", **environ)
    assert (code, "100%" in screen) == (0, True), screen
