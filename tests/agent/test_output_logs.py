"""What programs say, and how much of it is kept."""

import os
import socket
from pathlib import Path
from socket import socketpair

from prism.agent.output_logs import OutputLog, Selector, last_words


def test_a_log_is_turned_over_and_three_files_are_kept(tmp_path):
    log = OutputLog(tmp_path / "x.log", size=100)
    for number in range(20):
        log.write(f"{number:02} ".encode() * 12)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names in (["x.log", "x.log.1", "x.log.2"], ["x.log.1", "x.log.2"])
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 500
    assert log.last.endswith("19 19")


def test_the_end_of_the_output_survives_a_new_log(tmp_path):
    OutputLog(tmp_path / "x.log").write(b"farewell\n")
    assert OutputLog(tmp_path / "x.log").last == "farewell"


def test_output_is_still_in_memory_if_it_cannot_be_written(tmp_path):
    log = OutputLog(tmp_path / "missing" / "x.log")
    log.write(b"heard\n")
    assert log.last == "heard"


def test_lines_are_whole_however_they_come():
    heard: list[str] = []
    log = OutputLog(Path(os.devnull), heard.append)
    for piece in (b"on", b"e\ntw", b"o\nthr"):
        log.write(piece)
    assert heard == ["one", "two"]


def test_last_words_are_short_on_one_line_and_without_secrets():
    text = "see http://me:pw@host/x\n  token=abc123\n" + "x" * 1000
    line = last_words(text, ("abc123",), 1100)
    assert "pw" not in line
    assert "abc123" not in line
    assert "\n" not in line
    assert len(last_words(text, (), 100)) == 101


def test_a_selector_reads_to_the_end_and_forgets_ended_sources(tmp_path):
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
    selector.wait(120)  # a poke ends it at once, and who has ended is no more listened to
    for end in (poked, poke):
        os.close(end)


def test_a_handler_is_called_until_it_returns_false(tmp_path):
    poked, poke = os.pipe()
    source, output = os.pipe()
    selector, news = Selector(poked), []

    def is_told():
        news.append(os.read(source, 1))
        return False

    selector.attend(source, is_told)
    os.write(output, b"ab")
    selector.wait(120)
    selector.wait(0)
    assert news == [b"a"]
    for end in (poked, poke, source, output):
        os.close(end)


def test_a_new_source_with_the_number_of_one_that_closed_meanwhile_is_not_taken_for_it():
    """Two ends come at once; whoever is called first closes the other, and meets somebody new."""
    poked, _ = os.pipe()
    (first, _first), (second, _second) = socketpair(), socketpair()
    selector, heard = Selector(poked), list[str]()
    fresh: list[socket.socket] = []

    def says(word):
        heard.append(word)
        return True

    def one_ends():
        number = second.fileno()
        selector.ignore(number)
        second.close()
        new, other = socketpair()
        assert new.fileno() == number, "the lowest free number is taken"
        fresh.extend((new, other))
        selector.attend(number, lambda: says("new"))
        return False

    selector.attend(first.fileno(), one_ends)
    selector.attend(second.fileno(), lambda: says("old"))
    for far in (_first, _second):
        far.sendall(b"x")
    selector.wait(120)
    assert heard == [], "nobody has said anything to the new one"
    fresh[1].sendall(b"x")
    selector.wait(120)
    assert heard == ["new"]
    for each in (first, _first, _second, *fresh):
        each.close()
