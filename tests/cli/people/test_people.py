"""`prism member`, `invite`, `token` and `audit`."""

import json

import pytest

from prism.cli.parser import UsageError
from prism.cli.people.people_csv import read
from tests.cli.shown import workspace
from tests.client.scripted import http

MEMBER = {"email": "bob@x.org", "role": "admin", "join_date": "2026-01-01T00:00:00Z"}
REMOVED = {"message": "m", "workspaces": [], "tokens_revoked": 0}
INVITATION = {
    "id": "inv_1",
    "project_id": "proj_1",
    "project_name": "Reef",
    "email": "bob@x.org",
    "role": "admin",
    "token": None,
    "status": "pending",
    "invited_by": "ada",
    "invited_at": "2026-01-01T00:00:00Z",
    "expires_at": "2026-01-08T00:00:00Z",
    "message": "come",
    "mailed_at": None,
    "mail_file": None,
    "mail_problem": None,
}
TOKEN = {
    "id": "tok_1",
    "name": "laptop",
    "user": "bob@x.org",
    "scope": "operate",
    "project": None,
    "created_by": "ada",
    "created_at": "2026-01-01T00:00:00Z",
    "expires_at": "2026-04-01T00:00:00Z",
    "last_used": None,
}
ENDING = MEMBER | {"until": "2099-03-31T16:00:00Z", "at_end": "stop", "to": None}
ENTRY = {
    "id": "evt_0000000000000009",
    "at": "2026-01-01T00:00:00Z",
    "actor": "ada",
    "event": "member_changed",
    "subject": "Reef",
    "before": {"role": "viewer"},
    "after": {"role": "admin"},
    "data": {},
}


@pytest.mark.parametrize(
    ("words", "line", "body", "answer"),
    [
        (
            "member add My%20Reef bob@x.org --role admin",
            "POST /projects/My%2520Reef/members",
            {"email": "bob@x.org", "role": "admin"},
            MEMBER,
        ),
        (
            "member role p bob@x.org admin",
            "PUT /projects/p/members/bob%40x.org",
            {"role": "admin"},
            MEMBER,
        ),
        (
            "member add p bob@x.org --until 2099-03-31T18:00Z --at-end hand-over --to eve@x.org",
            "POST /projects/p/members",
            {
                "email": "bob@x.org",
                "role": "member",
                "until": "2099-03-31T18:00:00Z",
                "at_end": "hand_over",
                "to": "eve@x.org",
            },
            MEMBER,
        ),
        (
            "member until p bob@x.org 2099-03-31T18:00+02:00 --at-end stop",
            "PUT /projects/p/members/bob%40x.org",
            {"until": "2099-03-31T16:00:00Z", "at_end": "stop"},
            ENDING,
        ),
        (
            "member role p bob@x.org admin --until never",
            "PUT /projects/p/members/bob%40x.org",
            {"role": "admin", "until": None},
            MEMBER | {"until": None},
        ),
        (
            "member until p bob@x.org never",
            "PUT /projects/p/members/bob%40x.org",
            {"until": None},
            MEMBER | {"until": None},
        ),
        (
            "member remove p bob@x.org --workspaces hand-over --to eve@x.org",
            "DELETE /projects/p/members/bob%40x.org?workspaces=hand_over&to=eve%40x.org",
            None,
            REMOVED,
        ),
        (
            "invite send p bob@x.org --role admin --message come",
            "POST /invitations/send",
            {"project_id": "p", "email": "bob@x.org", "role": "admin", "message": "come"},
            INVITATION,
        ),
        (
            "invite send p bob@x.org --until 2099-03-31T18:00Z --at-end keep",
            "POST /invitations/send",
            {
                "project_id": "p",
                "email": "bob@x.org",
                "role": "member",
                "message": "",
                "until": "2099-03-31T18:00:00Z",
                "at_end": "keep",
            },
            INVITATION,
        ),
        ("invite resend inv_1", "POST /invitations/inv_1/resend", None, {"message": "m"}),
        ("invite revoke inv_1", "DELETE /invitations/inv_1", None, {"message": "m"}),
        (
            "token create laptop --scope admin --days 3 --user bob@x.org --project p",
            "POST /tokens",
            {"name": "laptop", "scope": "admin", "days": 3, "user": "bob@x.org", "project": "p"},
            TOKEN | {"token": "prism_tok_1.s"},
        ),
        ("token revoke tok_1", "DELETE /tokens/tok_1", None, {"message": "m"}),
    ],
)
def test_people_commands_send_the_expected_request(prism, server, words, line, body, answer):
    server.on(line, answer)
    done = prism(*words.split())
    assert done.returncode == 0, done.stderr
    assert server.asked_for(line)[0].body == body
    assert json.loads(prism(*words.split(), "--json").stdout) == answer


@pytest.mark.parametrize(
    "words",
    [
        "until p bob@x.org 2099-02-30",
        "until p bob@x.org 2099-03-31 --at-end sell",
        "role p bob@x.org admin --until 0",
        "add p bob@x.org --until soon",
    ],
)
def test_end_of_a_membership_that_makes_no_sense_sends_nothing(prism, server, words):
    done = prism("member", *words.split())
    assert (done.returncode, server.asked) == (2, []), done.stderr
    assert "hint:" in done.stderr


def test_member_remove_requires_a_choice_for_the_members_workspaces(
    prism, server, run_on_terminal
):
    mine = "GET /instances?project=p&owner=bob%40x.org"
    server.on(mine, [workspace("fit", "running"), workspace("old", "terminated")])
    done = prism("member", "remove", "p", "bob@x.org")
    assert (done.returncode, len(server.asked)) == (1, 1), "the member is not removed"
    assert "bob@x.org has workspaces in this project: fit;" in done.stderr
    assert "`--workspaces hand-over`" in done.stderr
    left = {"name": "fit", "state": "stopping", "owner": "bob@x.org"}
    line = "DELETE /projects/p/members/bob%40x.org?workspaces=stop"
    server.on(line, REMOVED | {"workspaces": [left], "tokens_revoked": 2})
    code, screen = run_on_terminal("member", "remove", "p", "bob@x.org", keys="stop\n")
    assert code == 0, screen
    assert "fit is bob@x.org's, stopping" in screen
    assert "2 tokens for only this project were revoked" in screen
    assert prism("member", "remove", "p", "bob@x.org", "--to", "eve@x.org").returncode == 2


def test_member_without_workspaces_is_removed_without_a_question(prism, server):
    server.on("GET /instances?project=p&owner=bob%40x.org", [])
    server.on("DELETE /projects/p/members/bob%40x.org?workspaces=keep", REMOVED)
    done = prism("member", "remove", "p", "bob@x.org")
    assert (done.returncode, done.stdout) == (0, "bob@x.org was removed\n")


def test_token_create_prints_only_the_token_on_stdout(prism, server):
    server.on("POST /tokens", TOKEN | {"token": "prism_tok_1.s"})
    assert prism("token", "create", "laptop").stdout == "prism_tok_1.s\n"


def test_token_create_prints_a_note_if_the_token_expires_earlier(prism, server):
    server.on("POST /tokens", TOKEN | {"token": "prism_tok_1.s"})
    assert "note:" not in prism("token", "create", "laptop").stderr
    longer = prism("token", "create", "laptop", "--days", "91")
    assert "note: not 91 days: it expires with the token that made it" in longer.stderr
    assert longer.stdout == "prism_tok_1.s\n"


@pytest.mark.parametrize(
    ("words", "line", "answer", "row"),
    [
        ("member list p", "GET /projects/p/members", [MEMBER], "bob@x.org  admin"),
        (
            "invite list p --status pending",
            "GET /invitations/project/p?status=pending",
            {"invitations": [INVITATION], "count": 1},
            "inv_1  Reef     bob@x.org  admin  pending",
        ),
        (
            "invite mine",
            "GET /invitations/me",
            {"invitations": [INVITATION], "count": 1},
            "inv_1  Reef",
        ),
        ("invite show inv_1", "GET /invitations/inv_1", INVITATION, "invited by  ada"),
        ("token list", "GET /tokens", [TOKEN], "tok_1  laptop  bob@x.org  operate"),
    ],
)
def test_people_commands_print_the_expected_row(prism, server, words, line, answer, row):
    server.on(line, answer)
    done = prism(*words.split())
    assert done.returncode == 0, done.stderr
    assert row in done.stdout


@pytest.mark.parametrize(
    ("mail", "message"),
    [
        ({}, "waits"),
        ({"mailed_at": "2026-01-01T00:00:00Z"}, "left 2026-01-01"),
        ({"mail_problem": "it is tried again: 554 no"}, "it is tried again: 554 no"),
        ({"mail_file": "outbox/inv_1.0.eml"}, "written to {}outbox/inv_1.0.eml"),
    ],
)
def test_invite_show_and_list_print_the_delivery_state_of_the_mail(
    prism, server, home, mail, message
):
    invitation = INVITATION | mail
    server.on("GET /invitations/inv_1", invitation)
    server.on("GET /invitations/project/p", {"invitations": [invitation], "count": 1})
    for words, folder in (("show inv_1", f"{home}/"), ("list p", "")):
        done = prism("invite", *words.split())
        assert message.format(folder) in done.stdout
        advised = "set PRISM_SMTP_URL for the daemon, then `prism invite resend inv_1`"
        assert (advised in done.stderr) is ("mail_file" in mail)


@pytest.mark.parametrize("verb", ["accept", "decline"])
def test_invite_accept_and_decline_read_the_token_only_from_stdin(prism, server, verb):
    answer = {"message": "Successfully joined project as admin"}
    server.on(f"POST /invitations/inv_1/{verb}", answer)
    more = ["--reason", "busy"] if verb == "decline" else []
    assert prism("invite", verb, "inv_1", *more, input="s3cret\n").returncode == 0
    body = server.asked_for(f"POST /invitations/inv_1/{verb}")[0].body
    assert body == {"token": "s3cret"} | ({"reason": "busy"} if more else {})
    assert prism("invite", verb, "inv_1", input="").returncode == 2
    assert prism("invite", verb, "inv_1", "--token", "x").returncode == 2


def test_invite_accept_reads_the_token_from_a_terminal(run_on_terminal, server):
    server.on("POST /invitations/inv_1/accept", {"message": "joined"})
    code, screen = run_on_terminal("invite", "accept", "inv_1", keys="s3cret\n")
    assert code == 0, screen
    assert "joined" in screen


def test_invite_bulk_sends_the_rows_of_a_csv_file(prism, server, tmp_path):
    people = tmp_path / "people.csv"
    people.write_text("\ufeffEmail,Role\na@x.org,Viewer\n\nb@x.org,\n", encoding="utf-8")
    results = [
        {"email": "a@x.org", "status": "would be sent", "reason": None, "error": None},
        {"email": "b@x.org", "status": "skipped", "reason": "already invited", "error": None},
    ]
    summary = {"total": 2, "sent": 1, "failed": 0, "skipped": 1}
    server.on("POST /invitations/bulk", {"summary": summary, "results": results, "dry_run": True})
    done = prism("invite", "bulk", "p", str(people), "--message", "hi", "--dry-run")
    assert server.asked_for("POST /invitations/bulk")[0].body == {
        "project_id": "p",
        "invitations": [{"email": "a@x.org", "role": "viewer"}, {"email": "b@x.org"}],
        "default_role": "member",
        "default_message": "hi",
        "dry_run": True,
    }
    assert "already invited" in done.stdout
    assert "1 would be sent, 1 skipped, 0 failed" in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_invite_bulk_fails_and_names_the_failed_rows(prism, server, tmp_path, more):
    people = tmp_path / "people.csv"
    people.write_text("a@x.org\nbroken\n")
    results = [
        {"email": "a@x.org", "status": "sent", "reason": None, "error": None},
        {"email": "broken", "status": "failed", "reason": None, "error": "no address"},
    ]
    summary = {"total": 2, "sent": 1, "failed": 1, "skipped": 0}
    answer = {"summary": summary, "results": results, "dry_run": False}
    server.on("POST /invitations/bulk", answer)
    done = prism("invite", "bulk", "p", str(people), *more)
    assert done.returncode == 1
    assert "error: 1 of 2 invitations failed: broken" in done.stderr
    assert "a@x.org" in done.stdout


@pytest.mark.parametrize(
    ("lines", "invitations"),
    [
        (["a@x.org", "b@x.org"], [{"email": "a@x.org"}, {"email": "b@x.org"}]),
        (["a@x.org,admin,hi"], [{"email": "a@x.org", "role": "admin", "message": "hi"}]),
        (["message,email", '"a, b",a@x.org'], [{"email": "a@x.org", "message": "a, b"}]),
        (["email", "", "broken"], [{"email": "broken"}]),
        (["\ufeffE-Mail Address;Role", "a@x.org;Admin"], [{"email": "a@x.org", "role": "admin"}]),
        (
            ["Name\tMail\tNote", "Ada\ta@x.org\thi, you"],
            [{"email": "a@x.org", "message": "hi, you"}],
        ),
        (["a@x.org;admin;hi, you"], [{"email": "a@x.org", "role": "admin", "message": "hi, you"}]),
        (["a@x.org,,a; b; c"], [{"email": "a@x.org", "message": "a; b; c"}]),
        (["email,role", ",Student"], [{"email": "", "role": "student"}]),
        (["Address,Email,E-mail 2", "Reef 1,a@x.org,b@x.org"], [{"email": "a@x.org"}]),
        (
            ["Mail,Address,Note,Text", "a@x.org,Reef 1,hi,no"],
            [{"email": "a@x.org", "message": "hi"}],
        ),
        (
            [
                "email;until",
                "a@x.org;2027-03-31T18:00Z",
                "b@x.org;Never",
                "c@x.org;",
                "d@x.org;soon",
            ],
            [
                {"email": "a@x.org", "until": "2027-03-31T18:00:00Z"},
                {"email": "b@x.org", "until": None},
                {"email": "c@x.org"},
                {"email": "d@x.org", "until": "soon"},
            ],
        ),
        (["a@x.org,,a, b, c"], [{"email": "a@x.org", "message": "a"}]),
    ],
)
def test_people_csv_is_read_with_common_headers_and_separators(lines, invitations):
    assert read(lines) == invitations


@pytest.mark.parametrize("lines", [[], ["name", "Ada"], [" , "]])
def test_people_csv_without_addresses_is_rejected(lines):
    with pytest.raises(UsageError):
        read(lines)


def test_audit_prints_entries_with_before_and_after(prism, server):
    line = "GET /audit?actor=ada&since=2026-01-01&limit=100&format=json"
    server.on(line, [ENTRY])
    done = prism("audit", "--actor", "ada", "--since", "2026-01-01")
    assert done.returncode == 0, done.stderr
    assert "ada  member_changed  Reef  role=viewer  role=admin" in done.stdout


def next_page(cursor):
    return f'</api/v1/audit?limit=1000&cursor={cursor}&format=json>; rel="next"'


def test_audit_limit_is_kept_over_several_pages(prism, server):
    first, second = "/audit?limit=1000&format=json", "/audit?limit=800&format=json&cursor=evt_8"
    server.on(f"GET {first}", http(200, [ENTRY] * 700, link=next_page("evt_8")))
    server.on(f"GET {second}", http(200, [ENTRY] * 800, link=next_page("evt_7")))
    done = prism("audit", "--limit", "1500", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 1500
    assert [request.path for request in server.asked] == [first, second]


def table(lines, **headers):
    """An answer in CSV."""
    text = ("id,subject\n" + "".join(lines)).encode()
    head = http(200, **headers).replace(b"Content-Length: 0", b"Content-Length: %d" % len(text))
    return head + text


def test_audit_csv_joins_pages_into_one_table(prism, server):
    odd = ['1,"two\nlines"\n', '2,"a, ""b"""\n', "3,a\u2028b\n"]
    first, second = "/audit?limit=4&format=csv", "/audit?limit=1&format=csv&cursor=evt_8"
    server.on(f"GET {first}", table(odd, link=next_page("evt_8")))
    server.on(f"GET {second}", table(["4,x\n"], link=next_page("evt_7")))
    done = prism("audit", "--limit", "4", "--csv")
    assert done.stdout == "id,subject\n" + "".join(odd) + "4,x\n", done.stderr
