"""`prism tunnel`, the real command with real workspaces."""

import contextlib
import json
import signal
import socket
import subprocess

import httpx
import pytest

from tests.conftest import free_port
from tests.daemons import BIN
from tests.optional import not_none


@contextlib.contextmanager
def tunnel(site, *words):
    """Run the command and yield the rows that it prints; SIGINT ends it with exit code 0."""
    program = subprocess.Popen(
        [BIN / "prism", "tunnel", *words, "--json"],
        env=site.home.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = ""
        while not lines.rstrip().endswith("]"):
            line = not_none(program.stdout).readline()
            assert line, not_none(program.stderr).read()
            lines += line
        yield json.loads(lines)
        program.send_signal(signal.SIGINT)
        assert program.wait(120) == 0
    finally:
        program.kill()
        program.communicate()


def test_tunnel_forwards_a_local_port_to_a_service(served_daemon):
    local_port = free_port()
    with tunnel(served_daemon, "mine", f"{local_port}:8501") as [row]:
        assert row == {
            "service": "more",
            "port": 8501,
            "local": local_port,
            "url": f"http://127.0.0.1:{local_port}",
        }
        with httpx.Client(base_url=row["url"]) as direct:
            for _ in range(3):
                assert direct.get("/x").json()["target"] == "/x"
            answer = direct.get(f"/download?size={50 << 20}")
            assert len(answer.content) == 50 << 20
    with pytest.raises(httpx.ConnectError):
        httpx.get(row["url"])


def test_tunnel_forwards_every_service_and_avoids_ports_in_use(served_daemon):
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", 8888)))
        rows = stack.enter_context(tunnel(served_daemon, "mine"))
        assert [row["service"] for row in rows] == ["page", "more", "desktop"]
        assert rows[0]["local"] != 8888
        assert httpx.get(f"{rows[0]['url']}/page").status_code == 200


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["mine", "0"], 2, "no port: 0"),
        (["mine", ":80"], 2, "no port: :80"),
        (["mine", "1:x"], 2, "no port: 1:x"),
        (["mine", "1:99999"], 2, "no port"),
        (["nobody"], 1, "nobody"),
        (["mine", "1"], 1, "does not answer there"),
        (["bare"], 0, "bare has no service that answers"),
    ],
)
def test_tunnel_rejects_invalid_ports_and_unreachable_services(
    served_daemon, words, code, message
):
    done = served_daemon.home.cli("tunnel", *words)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr


def test_tunnel_fails_if_the_given_local_port_is_in_use(served_daemon):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = served_daemon.home.cli("tunnel", "mine", f"{port}:8888")
    assert (done.returncode, f"Port {port} of this computer is taken" in done.stderr) == (1, True)
