"""A lab server, asked by a real SSH connection."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from prism.providers.ssh.commands import AnswerInvalid, NoPython
from prism.providers.ssh.model import (
    ServerFacts,
    ServerKeyChanged,
    ServerKeyUnknown,
    ServerUnreachable,
)
from prism.providers.ssh.server import LabServer
from tests.providers.ssh.conftest import LAB
from tests.waiting import eventually

pytestmark = LAB


def sessions(lab):
    """How many commands the server has run for us."""
    return (lab.folder / "log").read_text().count("Starting session: command")


def test_server_tells_what_it_offers_and_its_program_is_shipped_once(lab, server):
    facts = server.facts()
    assert facts.user == "researcher"
    assert facts.locks
    assert facts.sandbox == ""
    assert [path.name for path in lab.home.iterdir()] == [".prism-server"]
    assert (lab.home / ".prism-server").stat().st_mode & 0o77 == 0
    before = (lab.home / ".prism-server/agent").stat().st_mtime_ns
    assert server.call("survey", kind=dict, remembered=60)["machines"] == []
    assert (lab.home / ".prism-server/agent").stat().st_mtime_ns == before


def test_survey_is_one_command_on_one_connection(lab, server):
    lab.stop()
    lab.settings = ["LogLevel VERBOSE"]
    lab.start()
    server.facts()
    before = sessions(lab)
    server.call("survey", kind=dict, remembered=60)
    assert sessions(lab) == before + 1
    assert (lab.folder / "log").read_text().count("Accepted publickey") == 1


def test_unknown_key_is_refused_until_its_fingerprint_is_accepted(lab):
    known = lab.ssh / "known_hosts"
    known.write_text("")
    stranger = LabServer("gpu1")
    with pytest.raises(ServerKeyUnknown) as refused:
        stranger.facts()
    stranger.close()
    assert "`ssh gpu1`" in refused.value.remediation
    fingerprint = refused.value.remediation.rpartition(" ")[2].strip("`")
    assert fingerprint.startswith("SHA256:")
    wrong = LabServer("gpu1", "SHA256:" + "A" * 43)
    with pytest.raises(ServerKeyUnknown):
        wrong.facts()
    wrong.close()
    assert known.read_text() == ""
    accepted = LabServer("gpu1", fingerprint)
    assert accepted.facts().user == "researcher"
    accepted.close()
    assert lab.host_key in known.read_text()


def test_changed_key_stops_everything_with_the_fix(lab):
    lab.stop()
    lab.change_key()
    lab.start()
    for accepted in (None, "SHA256:" + "A" * 43):
        server = LabServer("gpu1", accepted)
        with pytest.raises(ServerKeyChanged) as refused:
            server.facts()
        server.close()
        assert "ssh-keygen -R" in refused.value.remediation
    assert not (lab.home / ".prism-server").exists()
    assert "Accepted" not in (lab.folder / "log").read_text()


def test_changed_key_is_not_replaced_by_an_accepted_one(lab):
    lab.stop()
    lab.change_key()
    lab.start()
    (lab.ssh / "known_hosts").rename(lab.ssh / "old")
    (lab.ssh / "known_hosts").write_text("")
    stranger = LabServer("gpu1")
    with pytest.raises(ServerKeyUnknown) as refused:
        stranger.facts()
    stranger.close()
    fingerprint = refused.value.remediation.rpartition(" ")[2].strip("`")
    (lab.ssh / "old").replace(lab.ssh / "known_hosts")
    before = (lab.ssh / "known_hosts").read_text()
    server = LabServer("gpu1", fingerprint)
    with pytest.raises(ServerKeyChanged):
        server.facts()
    server.close()
    assert (lab.ssh / "known_hosts").read_text() == before


def test_login_shell_that_prints_noise_changes_nothing(lab, server):
    (lab.home / ".bashrc").write_text("printf 'quota: 90 %%\\n\\nnews {}\\n'; echo warning >&2\n")
    (lab.home / ".bashrc").chmod(0o644)
    assert server.facts().user == "researcher"
    assert server.call("survey", kind=dict, remembered=60)["machines"] == []


def test_server_without_python_says_so(lab):
    lab.stop()
    empty = lab.folder / "empty"
    empty.mkdir()
    lab.path = str(empty)
    lab.start()
    server = LabServer("gpu1")
    with pytest.raises(NoPython, match=r"3\.9"):
        server.facts()
    server.close()


def test_connection_that_dropped_is_opened_again(lab, server):
    server.facts()
    lab.stop()
    with pytest.raises(ServerUnreachable):
        server.facts()
    lab.start()
    eventually(lambda: server.facts().user, passing=(ServerUnreachable,))


def test_server_that_allows_two_sessions_answers_eight_requests_at_once(lab):
    lab.stop()
    lab.settings = ["MaxSessions 2"]
    lab.start()
    server = LabServer("gpu1")
    server.facts()
    before = (lab.folder / "log").read_text().count("Accepted publickey")
    with ThreadPoolExecutor(8) as pool:
        surveys = pool.map(lambda _: server.call("survey", kind=dict, remembered=60), range(8))
        assert [survey["machines"] for survey in surveys] == [[]] * 8
    assert (lab.folder / "log").read_text().count("Accepted publickey") == before
    server.close()


@pytest.mark.parametrize(
    "answer",
    [
        "{}",
        '{"answer": []}',
        '{"answer": {"python": 3}}',
        "[" * 100_000,
        "\\xff",
        '{"answer": {"cpus": "many"}}',
    ],
)
def test_hostile_answers_are_refused(lab, server, answer):
    server.facts()
    [program] = lab.home.glob(".prism-server/agent/*/prism/agent/lab/host.py")
    text = (
        "import sys\nbody = " + repr(answer) + ".encode('latin-1')\n"
        "sys.stdout.buffer.write(f'\\n{sys.argv[1]} {len(body)}\\n'.encode() + body)\n"
    )
    program.write_text(text)
    with pytest.raises(AnswerInvalid):
        server.call("facts", kind=ServerFacts)


def test_endless_answer_is_cut(lab, server, monkeypatch):
    monkeypatch.setattr("prism.providers.ssh.commands.MOST_ANSWER", 1 << 20)
    server.facts()
    [program] = lab.home.glob(".prism-server/agent/*/prism/agent/lab/host.py")
    program.write_text("import os\nwhile True: os.write(1, b'x' * 65536)\n")
    with pytest.raises(AnswerInvalid):
        server.facts()
