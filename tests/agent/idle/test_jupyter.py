"""The agent's reading of a Jupyter server's kernels and sessions; the server is a double."""

import json
import socket
import threading

import pytest

from prism.agent.idle import jupyter

KERNELS, SESSIONS = "/api/kernels", "/api/sessions"


def kernel(id, state, at="2026-01-01T00:00:00Z"):
    return {"id": id, "name": "python3", "execution_state": state, "last_activity": at}


class Server:
    """Answers the requests of one connection after the other, in pieces."""

    def __init__(self, answers):
        self.requests, self._answers = [], answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._live, daemon=True).start()

    def _live(self):
        guest, _ = self._listener.accept()
        with guest, guest.makefile("rb") as request:
            for _ in self._answers:
                lines = [line.decode().strip() for line in iter(request.readline, b"\r\n")]
                self.requests.append(lines)
                reply = self._answers[lines[0].split()[1].partition("?")[0]]
                if reply is None:
                    return
                half = len(reply) // 2
                guest.sendall(reply[:half])
                guest.sendall(reply[half:])

    def close(self):
        self._listener.close()


@pytest.fixture
def ask_kernels(tmp_path):
    """Requests the kernels from a server with the given answers."""
    servers = []

    def kernels(answers):
        servers.append(Server(answers))
        asking = jupyter.kernels(servers[-1].port, "secret", tmp_path)
        try:
            while True:
                next(asking)
        except StopIteration as done:
            return servers[-1].requests, done.value

    yield kernels
    for server in servers:
        server.close()


def good(value, status="200 OK"):
    return raw(json.dumps(value).encode(), status)


def raw(body, status="200 OK"):
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def test_kernels_combines_the_answers_about_kernels_and_sessions(ask_kernels, tmp_path):
    (tmp_path / "a.ipynb").touch()
    running = [kernel("1", "busy"), kernel("2", "idle"), kernel("3", "dead")]
    opened = [{"path": "a.ipynb", "kernel": {"id": "1"}}, {"path": "gone", "kernel": {"id": "2"}}]
    requests, kernels = ask_kernels({KERNELS: good(running), SESSIONS: good(opened)})
    assert kernels.work == ["the kernel of a.ipynb is busy"]
    assert [event for _, event in kernels.touches] == [
        "a cell of gone was run",
        "a cell of python3 was run",
        "a.ipynb was saved",
    ]
    assert kernels.touches[0][0] == 1767225600
    assert kernels.doubts == []
    assert [message[0].split()[1] for message in requests] == [
        f"{path}?no_track_activity=1" for path in (KERNELS, SESSIONS)
    ]
    assert all("Authorization: token secret" in message for message in requests)


@pytest.mark.parametrize(
    "answers",
    [
        {KERNELS: good([]), SESSIONS: good({}, "403 Forbidden")},
        {KERNELS: good([], "500 Internal Server Error"), SESSIONS: good([])},
        {KERNELS: good([]), SESSIONS: None},
        {KERNELS: None, SESSIONS: None},
        {KERNELS: b"HTTP/1.1 200 OK\r\n\r\nnonsense", SESSIONS: good([])},
        {KERNELS: b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n[]", SESSIONS: good([])},
        {KERNELS: good({"message": "no"}), SESSIONS: good([])},
        {KERNELS: raw(b"[" * 200_000), SESSIONS: good([])},
    ],
)
def test_kernels_are_unknown_when_an_answer_is_missing_or_invalid(ask_kernels, answers):
    assert ask_kernels(answers)[1].doubts == ["Jupyter does not say what its kernels do"]


def test_kernels_are_unknown_when_the_port_is_closed(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(StopIteration) as done:
        next(jupyter.kernels(port, "", tmp_path))
    assert done.value.value.doubts


def test_kernels_are_unknown_when_the_server_does_not_answer_in_time(
    ask_kernels, monkeypatch, tmp_path
):
    monkeypatch.setattr(jupyter, "JUPYTER_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asking = jupyter.kernels(listener.getsockname()[1], "", tmp_path)
        with pytest.raises(StopIteration) as done:
            for _ in range(1000):
                next(asking)
    assert done.value.value.doubts
