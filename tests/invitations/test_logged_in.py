"""Invited people who have logged in, and links in their mail that log them in once."""

import email
from email.policy import default

import pytest
from msgspec import structs

from tests.access.people import Team
from tests.conftest import Http
from tests.optional import not_none
from tests.sessions.conftest import HOST, TabOfBrowser
from tests.shapes import failed

GUEST = "new@x.org"


@pytest.fixture
def team(make_daemon, tmp_path, request):
    more = getattr(request, "param", {"login_links": "mail"})
    daemon = make_daemon(
        auth="tokens",
        user="ada@x.org",
        public_url=f"https://{HOST}",
        home=str(tmp_path),
        **more,
    )
    return Team(daemon, Http(daemon.app))


@pytest.fixture
def tab(team):
    return TabOfBrowser(team)


def invited(team, guest=GUEST, **more):
    answer = team.invite(email=guest, **more)
    assert answer.status_code == 201, answer.text
    return answer.json()


def mails(team):
    """The text of each mail, the oldest first."""
    team.daemon.settle()
    files = sorted((team.daemon.settings.folder / "outbox").glob("*.eml"))
    read = [email.message_from_bytes(file.read_bytes(), policy=default) for file in files]
    texts = [not_none(mail.get_body(["plain"])).get_content() for mail in read]
    return [text.replace("\r\n", "\n") for text in texts]


def link_in(text):
    """The secret in the link of a mail; empty without one."""
    [url] = [line.strip() for line in text.splitlines() if "/invitations/" in line]
    return url.partition("#")[2]


def accept(caller, id, **body):
    return caller("POST", f"invitations/{id}/accept", json=body)


def test_one_mail_leads_from_the_invitation_to_the_project(team, tab):
    id = invited(team)["id"]
    [text] = mails(team)
    assert f"https://{HOST}/invitations/{id}#lnk_" in text
    answer = tab("POST", "login", json={"link": link_in(text)})
    assert answer.json() == {"user": GUEST}
    assert tab("GET", "me").json()["roles"] == {}
    assert tab("GET", f"invitations/{id}").json()["project_name"] == "Reef"
    assert accept(tab, id).status_code == 200
    assert tab("GET", "me").json()["roles"] == {team.project: "member"}
    failed(tab("POST", "login", json={"link": link_in(text)}), 401, "LOGIN_REFUSED")


def test_whoever_invites_never_gets_the_link(team):
    """An admin could else invite the operator, and log in as the operator."""
    sent = invited(team)
    [text] = mails(team)
    secret = link_in(text).partition(".")[2]
    for path in (f"invitations/{sent['id']}", f"invitations/project/{team.project}", "audit"):
        assert secret not in team("admin", "GET", path).text
    again = team("admin", "POST", f"invitations/{sent['id']}/resend")
    assert secret not in repr(sent) + again.text
    with team.daemon.db.read() as sql:
        for table in ("login_codes", "invitation_mails", "invitations", "events"):
            assert secret not in repr(sql.exec_driver_sql(f"SELECT * FROM {table}").fetchall())


@pytest.mark.parametrize("end", ["revoke", "resend", "expire", "decline", "project", "setting"])
def test_link_ends_with_its_invitation(team, tab, make_daemon, clock, end):
    sent = invited(team)
    [text] = mails(team)
    if end == "revoke":
        assert team("admin", "DELETE", f"invitations/{sent['id']}").status_code == 200
    elif end == "resend":
        team("admin", "POST", f"invitations/{sent['id']}/resend")
    elif end == "project":
        assert team("operator", "DELETE", f"projects/{team.project}").status_code == 200
    elif end == "setting":
        settings = structs.asdict(team.daemon.settings) | {"login_links": "operator"}
        restarted = make_daemon(**settings)
        team.http = Http(restarted.app)
    elif end == "expire":
        clock.advance(days=7)
    else:
        tab.log_in(GUEST)
        assert tab("POST", f"invitations/{sent['id']}/decline", json={}).status_code == 200
        tab.cookie = None
    failed(tab("POST", "login", json={"link": link_in(text)}), 401, "LOGIN_REFUSED")


@pytest.mark.parametrize(
    "team",
    [
        {"login_links": "operator"},
        {
            "login_links": "mail",
            "oidc_issuer": "https://id.example.org",
            "oidc_client_id": "prism",
        },
    ],
    indirect=True,
)
def test_mail_has_no_login_unless_the_operator_wants_it_and_people_have_no_other(team):
    id = invited(team)["id"]
    [text] = mails(team)
    assert link_in(text) == ""
    assert f"https://{HOST}/invitations/{id}\n" in text
    with team.daemon.db.read() as sql:
        assert sql.exec_driver_sql("SELECT * FROM login_codes").fetchall() == []


def test_person_who_has_logged_in_needs_no_token(team, tab):
    id = invited(team)["id"]
    tab.log_in(GUEST)
    assert accept(tab, id).status_code == 200


def test_others_need_the_token_and_are_still_refused(team, tab):
    sent = invited(team)
    tab.log_in("viewer@x.org")
    answer = accept(tab, sent["id"])
    assert answer.status_code in {403, 404}, answer.text
    answer = accept(tab, sent["id"], token=sent["token"])
    assert answer.status_code in {403, 404}, answer.text
    tab.log_in("ada@x.org")
    failed(accept(tab, sent["id"]), 422, "VALIDATION_FAILED")
    assert tab("GET", f"projects/{team.project}/members/{GUEST}").status_code == 404


def test_program_with_a_token_needs_the_one_of_the_mail(team):
    sent = invited(team)
    team.token("guest", user=GUEST)

    def program(method, path, **body):
        return team("guest", method, path, **body)

    failed(accept(program, sent["id"]), 422, "VALIDATION_FAILED")
    failed(accept(program, sent["id"], token="x"), 403, "INVITATION_TOKEN_INVALID")
    assert accept(program, sent["id"], token=sent["token"]).status_code == 200


def test_wrong_token_is_refused_also_after_a_login(team, tab):
    sent = invited(team)
    tab.log_in(GUEST)
    failed(accept(tab, sent["id"], token="x"), 403, "INVITATION_TOKEN_INVALID")


def test_session_of_a_token_needs_the_invitations_own_token(team, tab):
    """Whoever made the token may have given it away; with it anybody can begin a session."""
    team.token("guest", user=GUEST)
    invitation = invited(team)
    answer = tab("POST", "login", json={"token": team.tokens["guest"]})
    assert answer.status_code == 200, answer.text
    failed(accept(tab, invitation["id"]), 422, "VALIDATION_FAILED")
