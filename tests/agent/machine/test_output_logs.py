"""The output of programs: how much of it is logged, and how it is read."""

import os
import socket
from pathlib import Path
from socket import socketpair

from prism.agent.machine.output_logs import OutputLog, Selector, last_words, without_notes


def test_output_log_rotates_and_keeps_at_most_three_files(tmp_path):
    log = OutputLog(tmp_path / "x.log", size=100)
    for number in range(20):
        log.write(f"{number:02} ".encode() * 12)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names in (["x.log", "x.log.1", "x.log.2"], ["x.log.1", "x.log.2"])
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 500
    assert log.last.endswith("19 19")


def test_output_log_reads_its_last_line_when_it_is_opened_again(tmp_path):
    OutputLog(tmp_path / "x.log").write(b"farewell\n")
    assert OutputLog(tmp_path / "x.log").last == "farewell"


def test_output_log_has_its_last_line_when_the_file_cannot_be_written(tmp_path):
    log = OutputLog(tmp_path / "missing" / "x.log")
    log.write(b"heard\n")
    assert log.last == "heard"


def test_output_log_reports_whole_lines():
    received: list[str] = []
    log = OutputLog(Path(os.devnull), received.append)
    for piece in (b"on", b"e\ntw", b"o\nthr"):
        log.write(piece)
    assert received == ["one", "two"]


def test_last_words_are_one_short_line_without_secrets():
    text = "see http://me:pw@host/x\n  token=abc123\n" + "x" * 1000
    line = last_words(text, ("abc123",), 1100)
    assert "pw" not in line
    assert "abc123" not in line
    assert "\n" not in line
    assert len(last_words(text, (), 100)) == 101


def test_selector_reads_a_source_to_its_end_and_removes_it(tmp_path):
    poked, poke = os.pipe()
    words, output = os.pipe()
    os.set_blocking(words, False)
    selector, log = Selector(poked), OutputLog(tmp_path / "x.log")
    selector.listen(words, log)
    os.write(output, b"one ")
    selector.wait(1)
    os.write(output, b"two")
    os.close(output)
    selector.drain(log)
    assert log.last == "one two"
    os.write(poke, b".")
    selector.wait(120)  # a poke ends the wait at once; the ended source is no longer selected
    for end in (poked, poke):
        os.close(end)


def test_selector_calls_a_handler_until_it_returns_false(tmp_path):
    poked, poke = os.pipe()
    source, output = os.pipe()
    selector, news = Selector(poked), []

    def handler():
        news.append(os.read(source, 1))
        return False

    selector.attend(source, handler)
    os.write(output, b"ab")
    selector.wait(120)
    selector.wait(0)
    assert news == [b"a"]
    for end in (poked, poke, source, output):
        os.close(end)


def test_selector_ignores_readiness_of_a_closed_source_whose_number_is_reused():
    """Two sources are ready at once; the first handler closes the second and adds a new one."""
    poked, _ = os.pipe()
    (first, _first), (second, _second) = socketpair(), socketpair()
    selector, received = Selector(poked), list[str]()
    fresh: list[socket.socket] = []

    def record(word):
        received.append(word)
        return True

    def replace_second():
        number = second.fileno()
        selector.ignore(number)
        second.close()
        new, other = socketpair()
        assert new.fileno() == number, "the lowest free number is taken"
        fresh.extend((new, other))
        selector.attend(number, lambda: record("new"))
        return False

    selector.attend(first.fileno(), replace_second)
    selector.attend(second.fileno(), lambda: record("old"))
    for far in (_first, _second):
        far.sendall(b"x")
    selector.wait(120)
    assert received == [], "nothing was sent to the new source"
    fresh[1].sendall(b"x")
    selector.wait(120)
    assert received == ["new"]
    for each in (first, _first, _second, *fresh):
        each.close()


def test_notes_of_jupyter_are_left_out_and_its_errors_stay():
    notes = """[I 2026-01-01 10:00:00.000 ServerApp] jupyterlab | extension was loaded.
[C 2026-01-01 10:00:01.000 ServerApp]

    To access the server, open this file in a browser:
        file:///home/x/jpserver-1-open.html
"""
    failure = """[E 2026-01-01 10:00:02.000 ServerApp] Exception in callback
    Traceback (most recent call last):
OSError: [Errno 28] No space left on device"""
    assert without_notes(notes) == ""
    assert without_notes(f"{notes}{failure}\n[D 2026-01-01 10:00:03.000 x] more") == failure
    assert without_notes("plain\n  text") == "plain\n  text"
