"""The session of a program on a lab server passes on how the program ended."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from prism.agent.lab.messages import HEAD
from prism.agent.protocol import EXEC_SOCKET
from tests.optional import not_none

ROOT = Path(__file__).parents[3]
MACHINE = f"ssh-{1:017x}"
RUN = (
    "import sys; from pathlib import Path; from prism.agent.lab.session import serve_session; "
    "sys.exit(serve_session(Path(sys.argv[1]), 'nonce'))"
)


def answer_once(door, answers):
    """Be the supervisor: take one request, close its descriptors, and send these answers."""
    connection, _ = door.accept()
    with connection:
        _, descriptors, _, _ = socket.recv_fds(connection, 65_536, 8)
        for descriptor in descriptors:
            os.close(descriptor)
        for answer in answers:
            connection.sendall(answer)


@pytest.mark.parametrize(
    "answers",
    [
        [b'{"pid": 7}\n', b'{"exit": 3}\n'],
        [b'{"pid": 7}\n{"exit": 3}\n'],
        [b'{"pid": 7}\n{"ex', b'it": 3}\n'],
    ],
    ids=["apart", "in one piece", "in parts"],
)
def test_exit_code_arrives_however_the_answers_are_split(tmp_path, answers):
    folder = tmp_path / MACHINE
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(folder / EXEC_SOCKET))
        door.listen()
        supervisor = threading.Thread(target=answer_once, args=(door, answers))
        supervisor.start()
        request = json.dumps({"id": MACHINE, "exec": {"argv": ["true"]}}).encode()
        session = subprocess.Popen(
            [sys.executable, "-c", RUN, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        )
        with session:
            to_session = not_none(session.stdin)
            to_session.write(HEAD.pack(b"S", len(request)) + request)
            to_session.flush()
            output = not_none(session.stdout).read()
        supervisor.join()
    assert output == b"\nnonce\n" + HEAD.pack(b"X", 1) + b"3"
