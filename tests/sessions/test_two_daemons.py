"""Two daemons on one PostgreSQL agree about who is logged in."""

import pytest

from tests.access.people import Team
from tests.conftest import Http
from tests.sessions.conftest import TabOfBrowser
from tests.waiting import eventually

pytestmark = pytest.mark.postgres
SETTINGS = {
    "auth": "tokens",
    "user": "ada@x.org",
    "public_url": "https://prism.example.org",
    "project_creation": "everybody",
}


@pytest.fixture
def tabs(make_daemon):
    """One browser, at two daemons behind one address."""
    first, second = make_daemon(**SETTINGS), make_daemon(**SETTINGS)
    team = Team(first, Http(first.app))
    tab, second_tab = TabOfBrowser(team), TabOfBrowser(team)
    tab.log_in("member@x.org")
    second_tab.cookie = tab.cookie

    def other_daemon(method, path, headers=None, **body):
        team.http = Http(second.app)
        try:
            return TabOfBrowser.__call__(second_tab, method, path, headers, **body)
        finally:
            team.http = Http(first.app)

    return team, tab, other_daemon


def who(tab):
    answer = tab("GET", "me")
    return answer.json()["user"] if answer.status_code == 200 else answer.status_code


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_login_at_one_daemon_holds_at_the_other(tabs):
    _, tab, other_daemon = tabs
    assert who(tab) == who(other_daemon) == "member@x.org"


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_end_of_a_session_at_one_daemon_is_the_end_at_the_other(tabs):
    _, tab, other_daemon = tabs
    assert who(other_daemon) == "member@x.org"
    assert tab("POST", "logout").status_code < 300
    eventually(lambda: who(other_daemon) == 401)


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_role_that_is_lost_at_one_daemon_is_lost_at_the_other(tabs):
    team, _, other_daemon = tabs
    project = f"projects/{team.project}"
    assert other_daemon("GET", project).status_code == 200
    removed = team("operator", "DELETE", f"{project}/members/member@x.org")
    assert removed.status_code < 300, removed.text
    eventually(lambda: other_daemon("GET", project).status_code in {403, 404})
