"""Webhooks with a receiver that fails, hangs, drips, redirects and repeats."""

import pytest

from tests.notices.conftest import ok
from tests.notices.receivers import WebhookReceiver
from tests.shapes import failed

LOOPBACK = {"webhook_networks": "127.0.0.0/8"}
with_loopback = pytest.mark.parametrize("team", [LOOPBACK], indirect=True)


@pytest.fixture
def receiver():
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
def webhook(team, receiver):
    """A webhook of member@x.org."""
    return ok(team("member", "POST", "webhooks", json={"url": receiver.url}))


def tell(team, *roles):
    for role in roles:
        path = f"projects/{team.project}/members/member@x.org"
        ok(team("owner", "PUT", path, json={"role": role}))
    team.daemon.notice_parts.collector.collect()


def send(team):
    return team.daemon.notice_parts.webhook_loop.once()


def state(team):
    [row] = ok(team("member", "GET", "webhooks"))["webhooks"]
    return row


@with_loopback
def test_notices_come_signed_and_in_order_once_each(team, receiver, webhook):
    tell(team, "viewer", "member", "admin")
    while send(team):
        pass
    titles = [request.data["title"] for request in receiver.requests]
    assert titles == [f"Your role in Reef is {role} now" for role in ("viewer", "member", "admin")]
    assert all(request.is_signed_with(webhook["secret"]) for request in receiver.requests)
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 3
    assert receiver.requests[0].path == "/hook/secret-path?key=secret-query"
    listed = ok(team("member", "GET", "notices"))["notices"]
    assert {row["id"] for row in listed} == {
        request.headers["webhook-id"] for request in receiver.requests
    }


@with_loopback
@pytest.mark.parametrize("behave", ["503", "404", "redirect", "hang", "drip", "garbage"])
def test_notice_that_was_not_accepted_comes_again_with_the_same_id(
    team, receiver, webhook, clock, behave, monkeypatch
):
    monkeypatch.setattr(team.daemon.notice_parts.webhook_loop._work._transport, "_timeout", 0.5)
    receiver.behave = behave
    tell(team, "viewer")
    assert send(team) == 1
    assert send(team) == 0, "it waits before it tries again"
    assert state(team)["problem"]
    assert state(team)["waiting"] == 1
    receiver.behave = "ok"
    clock.advance(seconds=5)
    send(team)
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert (state(team)["problem"], state(team)["waiting"]) == (None, 0)
    assert not any(request.path == "/elsewhere" for request in receiver.requests)


@with_loopback
def test_endless_answer_is_not_read(team, receiver, webhook):
    receiver.behave = "endless"
    tell(team, "viewer")
    send(team)
    assert state(team)["waiting"] == 0


@with_loopback
def test_webhook_that_fails_for_days_is_paused_until_a_test_succeeds(
    team, receiver, webhook, clock
):
    receiver.behave = "500"
    tell(team, "viewer")
    for _ in range(40):
        send(team)
        clock.advance(hours=4)
    assert state(team)["paused_at"] is not None
    count = len(receiver.requests)
    assert count < 40
    tell(team, "member")
    clock.advance(days=1)
    send(team)
    assert len(receiver.requests) == count
    receiver.behave = "ok"
    assert ok(team("member", "POST", f"webhooks/{webhook['id']}/test"))["paused_at"] is None
    while send(team):
        pass
    titles = [request.data["title"] for request in receiver.requests[count:]]
    assert titles == [
        "Your role in Reef is viewer now",
        "Your role in Reef is member now",
        "This is a test",
    ]


@with_loopback
def test_webhook_that_fails_delays_neither_mail_nor_other_webhooks(
    team, receiver, webhook, clock, mail_server
):
    with WebhookReceiver() as other:
        ok(team("member", "POST", "webhooks", json={"url": other.url}))
        receiver.behave = "500"
        tell(team, "viewer")
        clock.advance(minutes=2)
        send(team)
        team.daemon.notice_parts.mail_loop.once()
        assert len(other.requests) == 1
        assert len(mail_server.mails) == 1


@with_loopback
def test_secret_and_path_are_shown_to_nobody_again(team, receiver, webhook, caplog):
    caplog.set_level("DEBUG")
    receiver.behave = "500"
    tell(team, "viewer")
    send(team)
    seen = team("operator", "GET", "webhooks").text + team("operator", "GET", "audit").text
    seen += caplog.text + team("member", "GET", "webhooks").text
    assert webhook["host"] in seen
    for secret in (webhook["secret"], "secret-path", "secret-query"):
        assert secret not in seen


@with_loopback
def test_repeated_request_has_no_secret_and_adds_nothing(team, receiver):
    for expected in (True, False):
        answer = ok(
            team(
                "member",
                "POST",
                "webhooks",
                headers={"Idempotency-Key": "once"},
                json={"url": receiver.url},
            )
        )
        assert (answer["secret"] is not None) is expected
    assert ok(team("member", "GET", "webhooks"))["count"] == 1


@with_loopback
def test_people_have_their_own_webhooks_and_the_operator_sees_all(team, receiver, webhook):
    assert ok(team("admin", "GET", "webhooks"))["count"] == 0
    assert ok(team("operator", "GET", "webhooks"))["count"] == 1
    path = f"webhooks/{webhook['id']}"
    for caller in ("admin", "owner", "outside"):
        failed(team(caller, "DELETE", path), 404, "WEBHOOK_NOT_FOUND")
        failed(team(caller, "POST", f"{path}/test"), 404, "WEBHOOK_NOT_FOUND")
    tell(team, "viewer")
    ok(team("operator", "DELETE", path))
    send(team)
    assert receiver.requests == []


def test_nobody_but_a_token_with_full_access_adds_a_webhook(team):
    team.token("narrow", user="member@x.org", scope="operate")
    body = {"url": "https://example.org/hook"}
    failed(team("narrow", "POST", "webhooks", json=body), 403, "PERMISSION_DENIED")


@pytest.mark.parametrize("team", [{"webhooks": "operator"}], indirect=True)
def test_operator_decides_who_adds_webhooks(team):
    body = {"url": "https://example.org/hook"}
    failed(team("owner", "POST", "webhooks", json=body), 403, "WEBHOOKS_NOT_ALLOWED")
    assert team("operator", "POST", "webhooks", json=body).status_code == 201


def test_person_has_few_webhooks(team):
    body = {"url": "https://example.org/hook"}
    for _ in range(5):
        assert team("member", "POST", "webhooks", json=body).status_code == 201
    failed(team("member", "POST", "webhooks", json=body), 409, "TOO_MANY_WEBHOOKS")


@with_loopback
def test_kill_between_answer_and_commit_sends_the_same_notice_again(
    team, receiver, webhook, clock, monkeypatch
):
    """The receiver knows the second one by its id."""
    tell(team, "viewer")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("prism.notices.store.done", killed)
        with pytest.raises(KeyboardInterrupt):
            send(team)
    clock.advance(minutes=1, seconds=1)  # the lease runs out
    send(team)
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    clock.advance(hours=1)
    send(team)
    assert len(receiver.requests) == 2


def add(team, caller="member"):
    return ok(team(caller, "POST", "webhooks", json={"url": "https://example.org/hook"}))["id"]


def listed(team, caller="operator"):
    return {row["id"] for row in ok(team(caller, "GET", "webhooks"))["webhooks"]}


@pytest.mark.parametrize("way", ["removed", "project deleted"])
def test_webhook_ends_with_the_account_of_its_maker(team, way):
    hook, of_owner = add(team), add(team, "owner")
    other = ok(team("operator", "POST", "projects", json={"name": "Other"}))["id"]
    members = f"projects/{other}/members"
    again = {"email": "member@x.org", "role": "member"}
    ok(team("operator", "POST", members, json=again))
    ok(team("owner", "DELETE", f"projects/{team.project}/members/member@x.org"))
    assert listed(team) == {hook, of_owner}, "the account lasts with the other project"
    if way == "removed":
        ok(team("operator", "DELETE", f"{members}/member@x.org"))
    else:
        ok(team("operator", "DELETE", f"projects/{other}"))
    assert listed(team) == {of_owner}
    ok(team("owner", "POST", f"projects/{team.project}/members", json=again))
    assert listed(team, "member") == set()


def test_webhook_ends_with_the_token_of_its_maker_and_what_made_that(team):
    """A thief adds a webhook with a token that was made with the stolen one."""
    stolen = team.token("stolen", user="member@x.org", scope="admin").id
    new = {"name": "more", "scope": "admin"}
    team.tokens["more"] = ok(team("stolen", "POST", "tokens", json=new))["token"]
    own, of_thief, of_child = add(team), add(team, "stolen"), add(team, "more")
    assert listed(team, "member") == {own, of_thief, of_child}
    ok(team("member", "DELETE", f"tokens/{stolen}"))
    assert listed(team, "member") == {own}
    removed = [
        entry["data"]["webhook"]
        for entry in ok(team("operator", "GET", "audit"))
        if entry["event"] == "webhook_removed"
    ]
    assert {*removed} == {of_thief, of_child}


def test_webhook_of_the_operator_needs_no_project(team):
    hook = add(team, "operator")
    ok(team("operator", "DELETE", f"projects/{team.project}/members/ada@x.org"))
    assert listed(team) == {hook}
