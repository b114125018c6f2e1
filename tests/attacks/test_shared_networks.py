"""Attacks from a workspace that shares the computer's network and the daemon's user.

Abstract Unix sockets belong to a network, not to a folder: one of them is the user's display,
through which a program could read the keys and type into terminals.
"""

import pytest

from prism.agent.init import LANDLOCK_SCOPED, landlock_version
from tests.attacks.ordinary import can_be_ordinary, ordinary_home

NAME = "prism-attack-display"
DISPLAY = """
import socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.bind("\\0" + sys.argv[1])
    server.listen()
    print("listens", flush=True)
    while True:
        server.accept()[0].sendall(b"keys")
"""
LOOK = f"""
import socket
def look(name):
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect("\\0" + name)
            return door.recv(4).decode()
        except OSError as error:
            return type(error).__name__
with socket.socket(socket.AF_UNIX) as own:
    own.bind("\\0own")
    own.listen()
    with socket.socket(socket.AF_UNIX) as door:
        door.connect("\\0own")
print(look("{NAME}"), look("nobody-listens"))
"""


@pytest.fixture(scope="module")
def home():
    """A home of an ordinary user with one workspace on the computer's network."""
    if not can_be_ordinary():
        pytest.skip("needs bubblewrap, and an ordinary user who may use it")
    if landlock_version() < LANDLOCK_SCOPED:
        pytest.skip("needs Linux 6.12, whose Landlock knows abstract sockets")
    with ordinary_home() as home:
        (home.folder / "env").write_text("PRISM_WORKSPACE_NETWORK=host\n")
        with home.run_daemon():
            home.cli_json("launch", "plain-shell", "mine")
            yield home
            home.cli_json("terminate", "mine", "--yes")


def test_workspace_does_not_reach_an_abstract_socket_of_its_user(home):
    with home.program(DISPLAY, NAME) as display:
        try:
            assert display.stdout.readline() == "listens\n"
            done = home.cli("exec", "mine", "--", "python3", "-c", LOOK)
            outside = home.program(LOOK)
            seen, _ = outside.communicate()
        finally:
            display.kill()
    assert done.returncode == 0, done.stderr
    assert done.stdout == "PermissionError ConnectionRefusedError\n"
    assert seen == "keys ConnectionRefusedError\n", "the socket does not work at all"
