"""Log files that grow and rotate, as the supervisor of a local machine writes them."""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prism.agent.machine import log_reader as logs
from prism.agent.machine.log_reader import LINES_LOST
from prism.agent.machine.output_logs import OutputLog
from prism.providers.local.logs import LocalLogs

ID = "local-" + "0" * 17


class Machine:
    """The folder of a machine with some services, and its logs as its supervisor writes them."""

    def __init__(self, root, *services):
        self.folder = root / ID
        (self.folder / "logs").mkdir(parents=True)
        order = {"key": "k", "name": "mine", "services": {key: {} for key in services}}
        (self.folder / "order.json").write_text(json.dumps(order))
        self.logs = LocalLogs(root)

    def log(self, name, size=5_000_000):
        return OutputLog(self.folder / "logs" / f"{name}.log", size=size)

    def write(self, name, *lines):
        self.log(name).write("".join(f"{line}\n" for line in lines).encode())

    def tail(self, kind="application", lines=100):
        return list(self.logs.tail(ID, kind, lines).lines)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path, "page")


def test_each_log_type_reads_its_own_files(machine):
    machine.write("page", "a request")
    machine.write("console", "on")
    machine.write("setup", "Installed")
    (machine.folder / "supervisor.log").write_text("Traceback\n")
    assert machine.tail() == ["a request"]
    assert machine.tail("cloud-init") == ["Installed"]
    assert sorted(machine.tail("console")) == ["on", "supervisor: Traceback"]


def test_lines_of_several_services_are_prefixed_and_share_the_limit(tmp_path):
    machine = Machine(tmp_path, "web", "worker")
    machine.write("web", *range(10))
    machine.write("worker", *range(10))
    lines = machine.tail(lines=4)
    assert sorted(lines) == ["web: 8", "web: 9", "worker: 8", "worker: 9"]


def test_tail_reads_rotated_files_too(machine):
    log = machine.log("page", size=50)
    for number in range(15):
        log.write(f"line {number}\n".encode())
    assert (machine.folder / "logs" / "page.log.1").exists()
    assert machine.tail(lines=9) == [f"line {n}" for n in range(6, 15)]
    assert machine.tail(lines=1) == ["line 14"]


def test_incomplete_line_is_returned_after_it_is_complete(machine):
    log = machine.log("page")
    log.write(b"one\ntw")
    lines = machine.logs.tail(ID, "application", 5)
    assert lines.lines == ("one",)
    log.write(b"o\n")
    assert machine.logs.after(ID, "application", lines.mark).lines == ("two",)


def test_secrets_in_logs_are_masked(machine):
    (machine.folder / "token").write_text("s3cret-token")
    machine.write("page", "GET /?token=s3cret-token", "from https://ada:pass@example.org/")
    assert machine.tail() == ["GET /?token=***", "from https://***@example.org/"]


def test_lines_that_are_not_text_or_too_long_are_shown_in_part(machine):
    machine.log("page").write(b"\xff\xfe broken\r\n\n" + b"x" * 20_000 + b"\n")
    broken, empty, long = machine.tail()
    assert broken.endswith(" broken")
    assert empty == ""
    assert len(long) == logs.MAX_LINE_LENGTH + 1


def test_log_file_that_is_a_link_is_not_read(machine, tmp_path):
    (tmp_path / "outside").write_text("not yours\n")
    os.symlink(tmp_path / "outside", machine.folder / "logs" / "page.log")
    assert machine.tail() == []


@pytest.mark.parametrize("id", [ID, "local-" + "1" * 17, "../x", "i-0123"])
def test_missing_log_has_no_lines(machine, id):
    assert machine.logs.tail(id, "application", 5).lines == ()
    assert machine.logs.after(id, "application", None).lines == ()


def follow(machine, mark):
    """All lines after a mark, piece by piece."""
    lines: list[str] = []
    while True:
        piece = machine.logs.after(ID, "application", mark)
        mark = piece.mark
        if not piece.lines:
            return lines, mark
        lines += piece.lines


def test_follower_behind_rotated_files_gets_a_gap_line_and_the_kept_lines(machine):
    log = machine.log("page", size=50)
    log.write(b"first\n")
    mark = machine.logs.tail(ID, "application", 5).mark
    for number in range(100):
        log.write(f"line {number}\n".encode())
    lines, _ = follow(machine, mark)
    assert lines[0] == LINES_LOST
    assert lines[-1] == "line 99"
    assert lines[1:] == [f"line {n}" for n in range(100 - len(lines) + 1, 100)]


def test_truncated_log_is_read_from_its_start_after_a_gap_line(machine):
    machine.write("page", "long ago", "and long")
    mark = machine.logs.tail(ID, "application", 5).mark
    (machine.folder / "logs" / "page.log").write_text("new\n")
    assert follow(machine, mark)[0] == [LINES_LOST, "new"]


def test_follow_returns_limited_pieces_without_gaps(machine, monkeypatch):
    monkeypatch.setattr(logs, "LOG_CHUNK", 64)
    mark = machine.logs.tail(ID, "application", 5).mark
    machine.write("page", *(f"line {n}" for n in range(50)), "x" * 500, "end")
    lines, _ = follow(machine, mark)
    assert lines[:50] == [f"line {n}" for n in range(50)]
    assert "".join(lines[50:-1]) == "x" * 500
    assert lines[-1] == "end"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 5))
def test_follower_gets_each_line_once(tmp_path_factory, sizes, every):
    machine = Machine(tmp_path_factory.mktemp("m"), "page")
    log, mark, received, written = machine.log("page", size=100), None, [], []
    for number, size in enumerate(sizes):
        written.append(f"{number}:" + "x" * size)
        log.write(f"{written[-1]}\n".encode())
        if number % every == 0 or size > 50:
            lines, mark = follow(machine, mark)
            received += lines
    lines, _ = follow(machine, mark)
    received += lines
    if LINES_LOST not in received:
        assert received == written
    assert received[-1] == written[-1]
