"""What others name their things does not become a command of who gets a notice about them."""

import subprocess

import pytest

from prism.notices.plan import mail_address
from tests.access.people import Team
from tests.conftest import Http
from tests.notices.conftest import ok

HOSTILE = ("reef; touch stolen", "$(touch stolen)", "`touch stolen`", "a && b", "it's", "My Reef")


@pytest.mark.parametrize("name", HOSTILE)
def test_command_of_a_notice_is_one_command_in_a_shell(make_daemon, tmp_path, name):
    daemon = make_daemon(auth="tokens", user="ada@x.org")
    team = Team(daemon, Http(daemon.app))
    ok(team("owner", "PUT", f"projects/{team.project}", json={"name": name}))
    member = f"projects/{team.project}/members/viewer@x.org"
    ok(team("owner", "PUT", member, json={"role": "member"}))
    daemon.notice_parts.collector.collect()
    [notice] = ok(team("viewer", "GET", "notices"))["notices"]
    script = f"""prism() {{ printf '%s\\n' "$@"; }}\n{notice["command"]}"""
    shell = ("sh", "-c", script)
    done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"member\nlist\n{name}\n", "")
    assert [*tmp_path.glob("stolen")] == []


@pytest.mark.parametrize(
    "person",
    ["eve@x.org,c", "eve@x.org>", "<eve@x.org>", "a,eve@x.org", "eve@x.org;b", "eve@[127.0.0.1]"],
)
def test_name_that_mail_servers_take_for_another_address_gets_no_mail(person):
    assert mail_address(person) is None
    assert mail_address("eve+prism@mail.example.org") == "eve+prism@mail.example.org"
