"""Several identity providers, and roles that follow from groups there."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from prism.access.model import Role
from prism.sessions.groups import BY_HAND, GroupRule, next_role, wanted_roles
from prism.sessions.oidc import groups_of
from prism.sessions.provider_file import ProviderFileInvalid, read_providers
from tests.access.people import Team
from tests.conftest import Http
from tests.sessions.conftest import HOST
from tests.sessions.test_oidc import ISSUER, HostileProvider, ProviderTab, refused
from tests.shapes import failed

CAMPUS = "https://campus.example.org"
FILE = f"""
[[provider]]
name = "campus"
label = "The campus"
issuer = "{CAMPUS}"
client_id = "prism"
client_secret = "other secret"
domains = ["campus.org"]
scopes = ["groups"]
groups = [
  {{ group = "reef-team", project = "Reef" }},
  {{ group = "reef-admins", project = "Reef", role = "admin" }},
  {{ group = "new-team", project = "not there yet" }},
]
"""


class Campus(HostileProvider):
    """The provider of the file; it says no `iss` in its answers, as many do."""

    def __init__(self):
        super().__init__()
        self.claims = {"iss": CAMPUS, "email": "ann@campus.org", "sub": "7"}
        endpoints = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        paths = ("authorize", "token", "keys")
        self.discovered = dict(zip(endpoints, (f"{CAMPUS}/{p}" for p in paths), strict=True))
        self.discovered |= {"issuer": CAMPUS, "end_session_endpoint": f"{CAMPUS}/end"}
        self.discovered["authorization_response_iss_parameter_supported"] = False


class CampusTab(ProviderTab):
    """A browser that logs in at one of the two."""

    def begin_at(self, provider, name="", to="/"):
        answer = self("POST", "login/provider", json={"to": to, "provider": name})
        assert answer.status_code == 200, answer.text
        self.login = answer.headers["set-cookie"].partition(";")[0]
        query = parse_qs(urlsplit(answer.json()["url"]).query)
        provider.nonce, self.state = query["nonce"][0], query["state"][0]
        return query

    def come_back_to(self, path, **answer):
        query = httpx.QueryParams({"code": "c1", "state": self.state} | answer)
        headers = {"Cookie": self.login, "Sec-Fetch-Site": "cross-site"}
        headers |= {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        return self("GET", f"{path}?{query}", headers)

    def sign_on_at_campus(self, campus, *groups, code="c1"):
        """Log in as somebody in these groups; the roles by project."""
        campus.claims["groups"] = list(groups)
        self.cookie = None
        self.begin_at(campus, "campus")
        answer = self.come_back_to("/auth/callback/campus", code=code)
        assert answer.status_code == 303, answer.text
        return self("GET", "me").json()["roles"]


@pytest.fixture
def first():
    return HostileProvider()


@pytest.fixture
def campus():
    return Campus()


@pytest.fixture
def team(make_daemon, first, campus, monkeypatch, tmp_path):
    by_host = {urlsplit(ISSUER).netloc: first, urlsplit(CAMPUS).netloc: campus}

    def client():
        return httpx.Client(
            transport=httpx.MockTransport(lambda asked: by_host[asked.url.host](asked))
        )

    monkeypatch.setattr("prism.daemon.wiring.logins.http_client", client)
    file = tmp_path / "providers.toml"
    file.write_text(FILE)
    file.chmod(0o600)
    daemon = make_daemon(
        auth="tokens",
        user="ada@x.org",
        smtp_url="smtp://127.0.0.1:1",
        public_url=f"https://{HOST}",
        oidc_issuer=ISSUER,
        oidc_client_id="prism",
        oidc_client_secret="secret",
        oidc_domains="lab.org",
        oidc_file=str(file),
    )
    return Team(daemon, Http(daemon.app))


@pytest.fixture
def tab(team):
    return CampusTab(team)


def test_people_choose_a_provider_and_each_has_its_own_callback(tab, first, campus):
    ways = tab("GET", "login").json()
    assert ways["providers"] == [
        {"name": "", "label": "id.example.org"},
        {"name": "campus", "label": "The campus"},
    ]
    query = tab.begin_at(campus, "campus")
    assert query["redirect_uri"] == [f"https://{HOST}/auth/callback/campus"]
    assert query["scope"] == ["openid email groups"]
    assert tab.come_back_to("/auth/callback/campus").status_code == 303
    assert tab("GET", "me").json()["user"] == "ann@campus.org"
    tab.cookie = None
    query = tab.begin_at(first)
    assert query["redirect_uri"] == [f"https://{HOST}/auth/callback"]
    assert tab.come_back_to("/auth/callback", iss=ISSUER).status_code == 303
    assert tab("GET", "me").json()["user"] == "eve@lab.org"


def test_answer_of_one_provider_is_not_taken_for_that_of_another(tab, first, campus):
    """Mix-up: the browser went to one, and the answer comes by the other's way."""
    tab.begin_at(campus, "campus")
    refused(tab, tab.come_back_to("/auth/callback", iss=ISSUER), "another identity provider")
    tab.begin_at(first)
    refused(tab, tab.come_back_to("/auth/callback/campus"), "another identity provider")
    tab.begin_at(campus, "campus")
    refused(
        tab, tab.come_back_to("/auth/callback/campus", iss=ISSUER), "another identity provider"
    )
    assert first.codes == campus.codes == [], "no code was passed on to the wrong one"


def test_token_of_the_other_provider_is_refused(tab, first, campus):
    campus.claims["iss"] = ISSUER
    tab.begin_at(campus, "campus")
    refused(tab, tab.come_back_to("/auth/callback/campus"))


@pytest.mark.parametrize("name", ["nobody", "Campus", "..", "campus/x"])
def test_unknown_provider_begins_nothing(tab, name):
    answer = tab("POST", "login/provider", json={"provider": name})
    failed(answer, 403, "LOGIN_UNAVAILABLE")
    assert tab("GET", f"/auth/callback/{name}?code=c&state=s").status_code in {401, 403, 404}


def test_provider_is_not_trusted_with_people_of_another(team, tab, first, campus):
    """One that lets anybody claim an address could else take over their account here."""
    tab.begin_at(first)
    assert tab.come_back_to("/auth/callback", iss=ISSUER).status_code == 303
    body = {"email": "eve@lab.org", "role": "member"}
    team("operator", "POST", f"projects/{team.project}/members", json=body)
    campus.claims["email"] = "eve@lab.org"
    tab.cookie = None
    tab.begin_at(campus, "campus")
    refused(tab, tab.come_back_to("/auth/callback/campus"), "comes in by another way")


@pytest.mark.parametrize("address", ["ada@x.org", "owner@x.org", "new@lab.org"])
def test_provider_makes_nobody_who_comes_in_by_another_way(team, tab, campus, address):
    """The operator, somebody with a token, and addresses of the other provider's domain."""
    team.token("owner", user="owner@x.org")
    campus.claims |= {"email": address, "groups": ["reef-admins"]}
    tab.begin_at(campus, "campus")
    refused(tab, tab.come_back_to("/auth/callback/campus"), "comes in by another way")


def test_roles_follow_the_groups_at_each_login(team, tab, campus):
    assert tab.sign_on_at_campus(campus, "reef-team") == {team.project: "member"}
    roles = tab.sign_on_at_campus(campus, "reef-admins", "reef-team", code="c2")
    assert roles == {team.project: "admin"}
    roles = tab.sign_on_at_campus(campus, "reef-team", "other", code="c3")
    assert roles == {team.project: "member"}
    assert tab.sign_on_at_campus(campus, code="c4") == {}
    assert tab.sign_on_at_campus(campus, "reef-team", code="c5") == {team.project: "member"}
    audit = team("operator", "GET", "audit").json()
    assert {e["actor"] for e in audit if e["event"] == "member_left"} == {"ann@campus.org"}


def test_membership_by_hand_stays(team, tab, campus):
    body = {"email": "ann@campus.org", "role": "viewer"}
    team("operator", "POST", f"projects/{team.project}/members", json=body)
    for number, groups in enumerate((["reef-admins"], [], ["reef-team"], [])):
        roles = tab.sign_on_at_campus(campus, *groups, code=f"c{number}")
        assert roles == {team.project: "viewer"}, groups


def test_role_that_was_changed_by_hand_is_by_hand_from_then_on(team, tab, campus):
    tab.sign_on_at_campus(campus, "reef-team")
    member = f"projects/{team.project}/members/ann@campus.org"
    assert team("operator", "PUT", member, json={"role": "owner"}).status_code == 200
    assert tab.sign_on_at_campus(campus, "reef-team", code="c2") == {team.project: "owner"}
    assert tab.sign_on_at_campus(campus, code="c3") == {team.project: "owner"}


@pytest.mark.parametrize("role", [None, "viewer", "owner"])
def test_member_who_was_removed_by_hand_stays_away(team, tab, campus, role):
    """Also if their role had been changed by hand before; the group alone brings nobody back."""
    tab.sign_on_at_campus(campus, "reef-team")
    member = f"projects/{team.project}/members/ann@campus.org"
    if role:
        assert team("operator", "PUT", member, json={"role": role}).status_code == 200
        assert tab.sign_on_at_campus(campus, "reef-team", code="c2") == {team.project: role}
    assert team("operator", "DELETE", member).status_code == 200
    for code in ("c3", "c4"):
        assert tab.sign_on_at_campus(campus, "reef-team", "reef-admins", code=code) == {}
    body = {"email": "ann@campus.org", "role": "viewer"}
    team("operator", "POST", f"projects/{team.project}/members", json=body)
    roles = tab.sign_on_at_campus(campus, "reef-team", code="c5")
    assert roles == {team.project: "viewer"}, "by hand"


@pytest.mark.parametrize("loop_runs", [True, False], ids=["after the loop", "before the loop"])
def test_member_whose_membership_has_ended_stays_away(team, tab, campus, clock, loop_runs):
    """The group alone brings nobody back, neither at once nor later."""
    tab.sign_on_at_campus(campus, "reef-team")
    member = f"projects/{team.project}/members/ann@campus.org"
    end = (clock.now() + timedelta(minutes=5)).isoformat()
    assert team("operator", "PUT", member, json={"until": end}).status_code == 200
    assert tab.sign_on_at_campus(campus, "reef-team", code="c2") == {team.project: "member"}
    clock.advance(minutes=5)
    if loop_runs:
        team.daemon.settle()
    assert tab.sign_on_at_campus(campus, "reef-team", code="c3") == {}
    team.daemon.settle()
    for code in ("c4", "c5"):
        assert tab.sign_on_at_campus(campus, "reef-team", "reef-admins", code=code) == {}
    assert team("operator", "GET", member).status_code == 404


def test_person_who_was_removed_and_leaves_the_group_comes_back_with_it(team, tab, campus):
    tab.sign_on_at_campus(campus, "reef-team")
    team("operator", "DELETE", f"projects/{team.project}/members/ann@campus.org")
    assert tab.sign_on_at_campus(campus, "reef-team", code="c2") == {}
    assert tab.sign_on_at_campus(campus, code="c3") == {}
    assert tab.sign_on_at_campus(campus, "reef-team", code="c4") == {team.project: "member"}


def test_lost_group_ends_what_a_token_for_the_project_opens(team, tab, campus):
    tab.sign_on_at_campus(campus, "reef-team")
    body = {"name": "mine", "project": "Reef"}
    token = tab("POST", "tokens", json=body).json()["token"]
    credentials = {"Authorization": f"Bearer {token}"}
    assert team(None, "GET", f"projects/{team.project}", credentials).status_code == 200
    tab.sign_on_at_campus(campus, code="c2")
    failed(team(None, "GET", f"projects/{team.project}", credentials), 401, "UNAUTHENTICATED")


def test_person_of_a_group_comes_in_from_any_domain_and_of_no_group_does_not(tab, campus):
    campus.claims["email"] = "guest@elsewhere.org"
    campus.claims["groups"] = ["other"]
    tab.begin_at(campus, "campus")
    refused(tab, tab.come_back_to("/auth/callback/campus"), "may not use this daemon")
    assert tab.sign_on_at_campus(campus, "reef-team", code="c2") != {}


def test_logout_leads_to_the_provider_of_the_session_only(tab, first, campus):
    tab.sign_on_at_campus(campus, "reef-team")
    url = tab("POST", "logout").json()["provider_url"]
    assert url.startswith(f"{CAMPUS}/end?client_id=prism&")
    back = parse_qs(urlsplit(url).query)["post_logout_redirect_uri"]
    assert back == [f"https://{HOST}/login"]
    tab.log_in("member@x.org")
    assert tab("POST", "logout").json()["provider_url"] is None
    campus.discovered["end_session_endpoint"] = "javascript:alert(1)"
    tab.team.daemon.login.providers["campus"].client._known = None
    tab.sign_on_at_campus(campus, "reef-team", code="c2")
    assert tab("POST", "logout").json()["provider_url"] is None


def test_logout_token_of_one_provider_ends_no_session_of_another(tab, first, campus):
    tab.sign_on_at_campus(campus, "reef-team")
    event: dict[str, object] = {"http://schemas.openid.net/event/backchannel-logout": {}}
    token = campus.token(events=event, jti="j1", sid="s1")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    path = "/auth/backchannel-logout"
    answer = tab.team(None, "POST", path, {"Host": HOST, **form}, content=f"logout_token={token}")
    assert answer.status_code == 401
    assert tab("GET", "me").status_code == 200


def test_highest_role_of_all_groups_counts():
    rules = [GroupRule("a", "reef"), GroupRule("b", "reef", Role.ADMIN), GroupRule("c", "x")]
    assert wanted_roles(rules, {"a", "b"}) == {"reef": Role.ADMIN}
    assert wanted_roles(rules, {"A", "aa"}) == {}


@pytest.mark.parametrize(
    ("present", "previous", "target", "after"),
    [
        (None, None, Role.MEMBER, Role.MEMBER),
        (Role.MEMBER, Role.MEMBER, None, None),
        (Role.MEMBER, Role.MEMBER, Role.ADMIN, Role.ADMIN),
        (Role.VIEWER, None, Role.ADMIN, Role.VIEWER),
        (Role.OWNER, Role.MEMBER, None, Role.OWNER),
        (None, Role.MEMBER, None, None),
        (None, Role.MEMBER, Role.MEMBER, None),
        (None, BY_HAND, Role.ADMIN, None),
        (Role.MEMBER, BY_HAND, Role.ADMIN, Role.MEMBER),
    ],
)
def test_next_role(present, previous, target, after):
    assert next_role(present, previous, target) is after


@pytest.mark.parametrize(
    ("claim", "groups"),
    [(None, set()), ("one", {"one"}), (["a", 1, "", None, "b"], {"a", "b"}), ({"a": 1}, set())],
)
def test_groups_are_names_and_nothing_else(claim, groups):
    assert groups_of(claim) == groups


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        (FILE, 0o644),
        (FILE, 0o660),
        (FILE + FILE, 0o600),
        (FILE.replace('"admin"', '"owner"'), 0o600),
        (FILE.replace("campus", "../x", 1), 0o600),
        (FILE.replace("scopes", "skopes"), 0o600),
        ("", 0o600),
    ],
)
def test_file_that_cannot_be_used_is_refused(tmp_path, text, mode):
    file = tmp_path / "providers.toml"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(ProviderFileInvalid):
        read_providers(str(file))
