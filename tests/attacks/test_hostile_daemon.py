"""A hostile daemon: its answers never run anything on the client's computer."""

import json
import os
import subprocess
from typing import Any

import pytest

from prism.client.errors import problem_of
from prism.client.transport.connection import AnswerRefused, connection, ports
from prism.client.transport.stream import events
from prism.client.transport.wire import HttpAnswer
from prism.errors import Problem
from tests.cli.conftest import environ, prism  # noqa: F401  fixtures
from tests.cli.shown import CONNECTION
from tests.client.conftest import home, server, wire  # noqa: F401  fixtures
from tests.client.scripted import http

CONNECT = "GET /instances/mine/connect"
WAY = {"service": "jupyter", "port": 8888, "url": "http://mine.localhost:8947"}
WAY |= {"host": "127.0.0.1", "target": 8888}
SSH = {"host": "127.0.0.1", "user": "mine", "port": 2222}
PLAIN = "ssh -p 2222 mine@127.0.0.1"
# Words that OpenSSH, a shell or a configuration file would not read as a name.
WORDS = (
    "-oProxyCommand=touch {mark}",
    "--",
    "",
    "a b",
    "a\nProxyCommand touch {mark}",
    "a\rb",
    "a\x1b]0;b\x07",
    "a\u202eb",
    "$(touch {mark})",
    "`touch {mark}`",
    "a;touch {mark}",
    "a'b",
    'a"b',
    "a%h",
    "${{HOME}}",
    "a/b",
    "a,b",
    "*",
    7,
    None,
    ["-oProxyCommand=touch {mark}"],
)
HOSTS = (*WORDS, "a@b", "[::1", "::1%25 -oProxyCommand=x", "a:22", "-1", "a.")
USERS = (*WORDS, "-lroot", "a@b", "a:b")
COMMANDS = (
    "touch {mark}",
    "ssh -p 2222 mine@127.0.0.1; touch {mark}",
    "ssh -p 2222 mine@127.0.0.1 touch {mark}",
    "ssh -o ProxyCommand='touch {mark}' mine@127.0.0.1",
    "ssh -oProxyCommand=x mine@127.0.0.1",
    "ssh -o 'UserKnownHostsFile=/x\nProxyCommand touch {mark}' mine@127.0.0.1",
    "ssh -o 'UserKnownHostsFile=/x\" \"/y' mine@127.0.0.1",
    "ssh -o 'UserKnownHostsFile=/${{HOME}}' mine@127.0.0.1",
    "ssh -i '/x\nProxyCommand touch {mark}' mine@127.0.0.1",
    "ssh -i relative mine@127.0.0.1",
    "ssh -F /tmp/evil mine@127.0.0.1",
    "ssh -A mine@127.0.0.1",
    "ssh -p 22x mine@127.0.0.1",
    "ssh -p 70000 mine@127.0.0.1",
    "ssh -L 80:evil.example:80 mine@127.0.0.1",
    "ssh mine@elsewhere",
    "ssh 'mine@127.0.0.1",
    "\x1b[2Jssh -p 2222 mine@127.0.0.1",
)
URLS = ("file:///etc/passwd", "javascript:alert(1)", "http://a b", "http://u:p@h", "-x", "", None)


def with_mark(word, folder):
    if isinstance(word, list):
        return [with_mark(element, folder) for element in word]
    return word.format(mark=folder / "mark") if isinstance(word, str) else word


def answers():
    """All hostile answers about one workspace."""
    for word in HOSTS:
        yield {"ssh": SSH | {"host": word, "command": f"ssh -p 2222 mine@{word}"}, "services": {}}
        yield {"ssh": SSH | {"host": word, "command": PLAIN}, "services": {}}
    for word in USERS:
        command = f"ssh -p 2222 {word}@127.0.0.1"
        yield {"ssh": SSH | {"user": word, "command": command}, "services": {}}
        yield {"ssh": SSH | {"user": word, "command": PLAIN}, "services": {}}
    for port in ("22", "-oProxyCommand=x", 0, 70000, True, [22]):
        yield {"ssh": SSH | {"port": port, "command": PLAIN}, "services": {}}
    for command in COMMANDS:
        yield {"ssh": SSH | {"command": command}, "services": {}}
        forward = {"url": "http://127.0.0.1:1", "local_forward": command}
        yield {"ssh": SSH | {"command": PLAIN}, "services": {"jupyter": forward}}
    for url in URLS:
        yield {"ssh": SSH | {"command": PLAIN}, "services": {"jupyter": {"url": url}}}
    for secret in ("a\nb", "a b", "\x1b[2J", 7):
        access = {"url": "http://127.0.0.1:1", "token": secret}
        yield {"ssh": SSH | {"command": PLAIN}, "services": {"jupyter": access}}
    yield from ([], 7, "x", {}, {"ssh": None}, {"ssh": {}, "services": []})


def test_client_refuses_hostile_connection_answers(server, wire, home):  # noqa: F811
    for answer in map(lambda it: json.loads(json_with_mark(it, home)), answers()):
        server.on(CONNECT, http(200, answer))
        with pytest.raises(AnswerRefused) as refused:
            connection(wire, "mine")
        text = f"{refused.value.message}{refused.value.details}"
        assert text.isprintable(), answer


def json_with_mark(answer, folder):
    """The answer as JSON, with the path of the file that a successful attack creates."""
    if isinstance(answer, dict):
        answer = {k: json.loads(json_with_mark(entry, folder)) for k, entry in answer.items()}
    return json.dumps(with_mark(answer, folder))


@pytest.mark.parametrize("field", ["host", "target", "port", "url", "service"])
def test_client_refuses_hostile_port_answers(server, wire, home, field):  # noqa: F811
    words = {"host": HOSTS, "url": URLS, "service": ("a\nb", "", 7)}.get(field, ("22", 0, None))
    for word in words:
        server.on("GET /instances/mine/ports", [WAY | {field: with_mark(word, home)}])
        with pytest.raises(AnswerRefused):
            ports(wire, "mine")


def test_client_accepts_an_ssh_command_with_known_options(server, wire):  # noqa: F811
    command = "ssh -p 2222 -i '/a $(x) b' -o UserKnownHostsFile=/k mine@::1"
    server.on(CONNECT, {"ssh": SSH | {"host": "::1", "command": command}, "services": {}})
    assert connection(wire, "mine")["ssh"]["command"] == command
    server.on(CONNECT, CONNECTION)
    assert connection(wire, "mine") == CONNECTION


@pytest.mark.parametrize("word", [WORDS[0], WORDS[1], WORDS[4], WORDS[8], "*"])
def test_hostile_host_name_runs_no_command(prism, server, home, word):  # noqa: F811
    """The real commands, with the real OpenSSH."""
    host = with_mark(word, home)
    server.on(CONNECT, {"ssh": SSH | {"host": host, "command": PLAIN}, "services": {}})
    server.on("GET /instances", [{"name": "mine", "state": "running"}])
    (home / "file").write_text("x")
    for words in (
        ("ssh", "mine"),
        ("exec", "mine", "--", "true"),
        ("cp", f"{home}/file", "mine:f"),
    ):
        done = prism(*words)
        assert (done.returncode, "was not used" in done.stderr) == (1, True), done.stderr
    assert prism("ssh-config", "--write", "--yes").returncode == 0
    written = (home / "ssh" / "config").read_text()
    assert "ProxyCommand" not in "\n".join(
        line for line in written.splitlines() if not line.startswith("#")
    )
    assert not (home / "mark").exists()


@pytest.mark.parametrize("name", ["*", "a * b", "a\nHost *"])
def test_ssh_config_refuses_hostile_workspace_names(prism, server, home, name):  # noqa: F811
    server.on("GET /instances", [{"name": name, "state": "running"}])
    done = prism("ssh-config", "--write", "--yes")
    assert (done.returncode, "was not used" in done.stderr) == (1, True), done.stderr
    assert not (home / "ssh").exists()


def test_exec_program_with_a_leading_dash_is_no_ssh_option(prism, server, home):  # noqa: F811
    """`ssh` ends its options before the host, so no later word is one."""
    server.on(CONNECT, {"ssh": SSH | {"command": PLAIN}, "services": {}})
    done = prism("exec", "mine", "--json", "--", f"-oProxyCommand=touch {home}/mark")
    argv = json.loads(done.stdout)["argv"]
    argv[1:1] = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=1", "-o", "Port=1", "-F", os.devnull]
    subprocess.run(argv, capture_output=True, timeout=120)
    assert not (home / "mark").exists()


@pytest.mark.parametrize("deep", [b"[" * 200_000, b'{"a":' * 200_000], ids=["lists", "objects"])
def test_deeply_nested_answer_is_an_error_without_a_traceback(deep):
    with pytest.raises(ValueError, match="nested too deeply"):
        HttpAnswer(200, {}, deep).json()
    assert problem_of(500, deep).code == "INTERNAL_ERROR"

    class Streaming:
        def stream(self, path, headers):
            yield b""
            yield b"data: " + deep + b"\n\n"

    streaming: Any = Streaming()
    with pytest.raises(Problem, match="not JSON"):
        next(events(streaming))
