"""A real daemon in team mode, the real command line, a real mail."""

import email
import json
from email.policy import default

import pytest

from prism.client import Client
from prism.errors import Denied
from prism.kit.envelope import Unauthenticated
from tests.optional import not_none
from tests.project.living import Home
from tests.waiting import eventually


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


def port(home):
    return json.loads((home.folder / "daemon.lock").read_text())["port"]


def test_from_the_first_token_to_a_member_by_mail(home):
    with home.living(PRISM_AUTH="tokens"):
        url = f"http://localhost:{port(home)}"
        with pytest.raises(Unauthenticated):
            Client(url=url, token="").members.list("reef")
        minted = home.said("token", "create", "pi", "--user", "pi@x.org", "--scope", "admin")
        pi = Client(url=url, token=minted["token"])
        invitation = home.cli("invite", "mine", PRISM_URL=url, PRISM_TOKEN=minted["token"])
        assert invitation.returncode == 0, invitation.stderr
        assert home.cli("invite", "mine", PRISM_URL=url).returncode == 1
        pi._wire.ask("POST", "/projects", {"name": "reef"})
        sent = pi.invitations.send("reef", "eve@x.org")
        [file] = eventually(lambda: [*(home.folder / "outbox").glob("*.eml")])
        letter = email.message_from_bytes(file.read_bytes(), policy=default)
        text = not_none(letter.get_body(["plain"])).get_content()
        assert sent.token in text
        word = home.said("token", "create", "eve", "--user", "eve@x.org")["token"]
        eve = Client(url=url, token=word)
        with pytest.raises(Denied):
            eve.invitations.accept(sent.id, "x")
        assert eve.invitations.mine().count == 1
        accept = ("invite", "accept", sent.id)
        done = home.cli(*accept, input=sent.token, PRISM_URL=url, PRISM_TOKEN=word)
        assert done.returncode == 0, done.stderr
        assert {member.email for member in pi.members.list("reef")} == {"pi@x.org", "eve@x.org"}
        events = [entry.event for entry in pi.audit.entries(subject="reef")]
        assert events[:2] == ["invitation_accepted", "member_joined"]
        log = (home.folder / "log").read_text()
        assert not [secret for secret in (minted["token"], word, sent.token) if secret in log]
