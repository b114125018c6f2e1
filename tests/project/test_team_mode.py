"""A real daemon in team mode, with the command line and a mail."""

import email
import json
from email.policy import default

import pytest

from prism.client import Client
from prism.errors import Denied
from prism.kit.envelope import Unauthenticated
from tests.optional import not_none
from tests.project.home import Home
from tests.waiting import eventually


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


def port(home):
    return json.loads((home.folder / "daemon.lock").read_text())["port"]


def test_user_joins_a_project_by_token_and_mailed_invitation(home):
    with home.run_daemon(PRISM_PROJECT_CREATION="everybody", PRISM_AUTH="tokens"):
        url = f"http://localhost:{port(home)}"
        with pytest.raises(Unauthenticated):
            Client(url=url, token="").members.list("reef")
        admin_token = home.cli_json(
            "token", "create", "pi", "--user", "pi@x.org", "--scope", "admin"
        )
        pi = Client(url=url, token=admin_token["token"])
        invitation = home.cli("invite", "mine", PRISM_URL=url, PRISM_TOKEN=admin_token["token"])
        assert invitation.returncode == 0, invitation.stderr
        assert home.cli("invite", "mine", PRISM_URL=url).returncode == 1
        pi._wire.ask("POST", "/projects", {"name": "reef"})
        sent = pi.invitations.send("reef", "eve@x.org")
        [file] = eventually(lambda: [*(home.folder / "outbox").glob("*.eml")])
        mail = email.message_from_bytes(file.read_bytes(), policy=default)
        text = not_none(mail.get_body(["plain"])).get_content()
        assert sent.token in text
        eve_token = home.cli_json("token", "create", "eve", "--user", "eve@x.org")["token"]
        eve = Client(url=url, token=eve_token)
        with pytest.raises(Denied):
            eve.invitations.accept(sent.id, "x")
        assert eve.invitations.mine().count == 1
        accept = ("invite", "accept", sent.id)
        done = home.cli(*accept, input=sent.token, PRISM_URL=url, PRISM_TOKEN=eve_token)
        assert done.returncode == 0, done.stderr
        assert {member.email for member in pi.members.list("reef")} == {"pi@x.org", "eve@x.org"}
        events = [entry.event for entry in pi.audit.entries(subject="reef")]
        assert events[:2] == ["invitation_accepted", "member_joined"]
        log = (home.folder / "log").read_text()
        assert not [
            secret for secret in (admin_token["token"], eve_token, sent.token) if secret in log
        ]
