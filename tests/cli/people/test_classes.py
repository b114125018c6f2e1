"""`prism class …`, with the real command, a real daemon and real workspaces on this computer."""

import hashlib
import json
import re
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prism.cli.people.class_overview import overview_rows
from prism.cli.people.classes import _folder_name
from tests.daemons import BIN
from tests.project.home import Home
from tests.waiting import eventually

PEOPLE = ["ann@x.org", "ben@x.org", "cho@x.org"]
MAILED = {
    "PRISM_AUTH": "tokens",
    "PRISM_PUBLIC_URL": "https://lab.x.org",
    "PRISM_LOGIN_LINKS": "mail",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    home = Home(folder / "home")
    home.environ |= MAILED
    try:
        with home.run_daemon(**MAILED):
            home.cli_json("project", "create", "stat")
            yield home
    finally:
        home.clear()


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A CSV file as a spreadsheet writes it, with rows that are wrong or hostile."""
    file = tmp_path_factory.mktemp("csv") / "people.csv"
    hostile = ["=cmd|'/c calc'!A1", "../../etc/passwd", "eve@x.org\x1b]0;x\x07", "a@x.org,b@x.org"]
    rows = "".join(f'"{cell}",member,hello\n' for cell in [*PEOPLE, *hostile])
    file.write_text(f"email,role,message\n{rows}", encoding="utf-8-sig")
    return str(file)


def add(people, *more):
    return ["class", "add", "stat", people, "--template", "plain-shell", "--size", "XS", *more]


def owners(home):
    """The owner of each workspace."""
    return sorted(workspace.owner for workspace in home.client.workspaces.list(project="stat"))


def states(home):
    """The states of the workspaces of the class."""
    return {workspace.state for workspace in home.client.workspaces.list(project="stat")}


@pytest.fixture(scope="module")
def taught(home, people):
    """The class, after the command was killed in the middle and repeated."""
    with subprocess.Popen([BIN / "prism", *add(people)], env=home.environ) as process:
        eventually(lambda: owners(home), 120)
        process.send_signal(signal.SIGKILL)
        process.wait()
    home.first = len(owners(home))
    done = home.cli(*add(people), "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    eventually(lambda: states(home) == {"running"}, 120)
    return home, done, rows


def test_class_is_complete_after_a_kill_and_a_repeated_command(taught):
    home, done, rows = taught
    assert home.first <= len(PEOPLE)  # `test_class_of_120.py` kills it at a known point
    assert owners(home) == PEOPLE
    assert done.returncode != 0  # for the hostile rows, and only these
    assert {name for name, row in rows.items() if not row["error"]} == {*PEOPLE}
    again = home.cli_json("class", "status", "stat")
    assert len(again) == len(PEOPLE)
    assert {row["stuck"] for row in again} == {"has not answered the invitation"}


def test_each_person_gets_one_mail_with_one_link_that_logs_in(taught):
    home, _, _ = taught
    outbox = home.folder / "outbox"

    def mails():
        texts = [file.read_text() for file in outbox.glob("*.eml")]
        return [text for text in texts if re.search("^Subject: .* to stat$", text, re.MULTILINE)]

    eventually(lambda: len(mails()) == len(PEOPLE), 60)
    texts = [text.replace("=\n", "").replace("=3D", "=") for text in mails()]
    for person in PEOPLE:
        [text] = [text for text in texts if f"To: {person}" in text]
        assert len(set(re.findall(r"lnk_[\w.-]+", text))) == 1


def test_third_run_changes_nothing_and_prints_no_control_character(taught, people):
    home, _, _ = taught
    done = home.cli(*add(people))
    assert owners(home) == PEOPLE
    assert done.stdout.count("exists") == len(PEOPLE)
    assert "\x1b]" not in done.stdout + done.stderr
    assert home.cli(*add(people), "--dry-run").returncode != 0
    assert owners(home) == PEOPLE


def test_collected_files_have_equal_checksums(taught, tmp_path):
    home, _, _ = taught
    contents = {"ann": b"one", "ben": b"\x00" * 200_000}
    for person, content in contents.items():
        source = tmp_path / person
        source.write_bytes(content)
        home.client.files.upload(f"work--{person}", source, "answer.bin")
    target = tmp_path / "collected"
    done = home.cli("class", "collect", "stat", "answer.bin", str(target), "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert done.returncode != 0  # one has no such file
    assert "does not exist" in rows["work--cho"]["error"] or rows["work--cho"]["error"]
    for person, content in contents.items():
        assert (target / f"work--{person}" / "answer.bin").read_bytes() == content
        assert rows[f"work--{person}"]["sha256"] == hashlib.sha256(content).hexdigest()
    checked = subprocess.run(["sha256sum", "-c", "checksums.sha256"], cwd=target, check=False)
    assert checked.returncode == 0


def test_hostile_files_reach_nothing_outside_the_folder(taught, tmp_path):
    """A link to a file of this computer, a file with a hole of a terabyte, and a folder."""
    home, _, _ = taught
    script = {
        "ann": "rm -rf trap; ln -s /etc/passwd trap",
        "ben": "rm -rf trap; truncate -s 1T trap",
        "cho": "rm -rf trap; mkdir -p trap; touch 'trap/../x'",
    }
    for person, line in script.items():
        assert home.cli("exec", f"work--{person}", "--", "sh", "-c", line).returncode == 0
    target = tmp_path / "collected"
    done = home.cli("class", "collect", "stat", "trap", str(target), "--max-mb", "2", "--json")
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows if not row["error"]] == []
    assert [path for path in target.rglob("*") if path.is_file()] == [target / "checksums.sha256"]
    for path in ("..", "../work", "a/..", "", "x\ny"):
        refused = home.cli("class", "collect", "stat", path, str(target))
        assert refused.returncode != 0
    assert not (tmp_path / "work").exists()


def test_reset_gives_the_files_of_a_snapshot_and_keeps_those_of_today(taught, tmp_path):
    home, _, _ = taught
    source = tmp_path / "task"
    source.write_text("the task")
    home.client.files.upload("work--ann", source, "task.txt")
    home.cli_json("snapshot", "create", "start", "--workspace", "work--ann")
    source.write_text("a wrong answer")
    home.client.files.upload("work--ben", source, "task.txt")
    words = ("class", "reset", "stat", "ben@x.org", "--snapshot", "start")
    assert home.cli(*words, input="no\n").returncode != 0
    [row] = home.cli_json(*words, "--yes")
    assert row["backup"] == "work-before-rollback"
    eventually(lambda: not any(w.rolling_back for w in home.client.workspaces.list()), 120)
    eventually(lambda: states(home) == {"running"}, 120)
    assert b"".join(home.client.files.read("work--ben", "task.txt")) == b"the task"
    home.cli_json("workspace", "rollback", "work--ben", row["backup"])
    assert b"".join(home.client.files.read("work--ben", "task.txt")) == b"a wrong answer"
    missing = home.cli("class", "reset", "stat", "nobody@x.org", "--snapshot", "start", "--yes")
    assert "nobody@x.org" in missing.stderr


def test_class_stops_now_or_at_a_time(taught):
    home, _, _ = taught
    at = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
    earlier = at - timedelta(days=1)
    home.client.workspaces.extend("work--ann", expires_at=earlier.isoformat())
    rows = home.cli_json("class", "stop", "stat", "--at", at.isoformat())
    assert [row["name"] for row in rows] == ["work--ben", "work--cho"]
    expiries = {w.owner: w.expires_at for w in home.client.workspaces.list(project="stat")}
    assert expiries == {"ann@x.org": earlier, "ben@x.org": at, "cho@x.org": at}
    passed = home.cli("class", "stop", "stat", "--at", "2020-01-01T17:00")
    assert passed.returncode != 0
    assert "has passed" in passed.stdout + passed.stderr
    assert home.cli("class", "stop", "stat", input="no\n").returncode != 0
    assert states(home) == {"running"}
    rows = home.cli_json("class", "stop", "stat", "--yes")
    assert {row["done"] for row in rows} <= {"is stopping", "is stopped"}
    assert len(rows) == len(PEOPLE)
    eventually(lambda: states(home) == {"stopped"}, 120)
    assert home.cli_json("class", "stop", "stat", "--yes") == []
    home.cli("start", "--project", "stat", "--yes")
    eventually(lambda: states(home) == {"running"}, 120)


def test_end_leaves_a_snapshot_of_each_workspace_and_nobody_in_the_class(home, tmp_path):
    """A class of its own: the tests of the other one run in any order."""
    home.cli_json("project", "create", "late")
    file = tmp_path / "people.csv"
    file.write_text("dan@x.org\nfay@x.org\n")
    words = ("class", "add", "late", str(file), "--template", "plain-shell", "--name", "thesis")
    home.cli_json(*words)

    def states():
        return [w.state for w in home.client.workspaces.list(project="late")]

    eventually(lambda: states() == ["running"] * 2, 120)
    assert home.cli("class", "end", "late").returncode != 0  # nobody said yes
    assert states() == ["running"] * 2
    rows = home.cli_json("class", "end", "late", "--yes")
    assert len([row for row in rows if row["done"].startswith("is destroyed once")]) == 2
    eventually(lambda: {*states()} <= {"terminated"}, 120)
    backups = [s for s in home.client.snapshots.list() if s.name.startswith("thesis-backup")]
    assert [backup.state for backup in backups] == ["completed"] * 2
    assert home.cli_json("class", "end", "late", "--yes") == []
    stuck = {row["person"]: row["stuck"] for row in home.cli_json("class", "status", "late")}
    assert stuck == {}


# The web GUI decides the same, and reads the same cases: `web/test/classes.test.ts`.
CASES = json.loads(Path(__file__).with_name("class_cases.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_condition_of_each_person(case):
    rows = overview_rows(case["members"], case["invitations"], case["workspaces"], 30)
    conditions = [
        {"person": row["person"], "condition": row["condition"], "why": row["stuck"]}
        for row in sorted(rows, key=lambda row: (row["person"], row["workspace"]))
    ]
    assert conditions == case["rows"]


def test_those_who_are_stuck_come_first():
    members = [{"email": f"{name}@x.org", "role": "member"} for name in ("ann", "ben")]
    row = {"name": "work", "owner": "ann@x.org", "state": "running", "failure": None}
    rows = overview_rows(members, [], [row], 30)
    assert [row["person"] for row in rows] == ["ben@x.org", "ann@x.org"]


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "\n", "é"])
def test_folder_of_a_hostile_name_stays_inside(name):
    assert re.fullmatch("[0-9a-f]*", _folder_name(name))
    assert _folder_name("work--ann") == "work--ann"
