"""Logging in with accounts of the daemon's computer: real PAM, with accounts made for the test.

The process that asks PAM has an `/etc` with these accounts, in a mount namespace of its own.
"""

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from prism.sessions import accounts
from prism.sessions.accounts import (
    CHECK_COMMAND,
    MOST_OF_ONE_ADDRESS,
    MOST_WRONG_PASSWORDS,
    service_problem,
)
from prism.settings import SettingInvalid, Settings
from tests.access.people import Team
from tests.conftest import Http
from tests.optional import not_none
from tests.sessions.conftest import HOST, TabOfBrowser
from tests.shapes import failed
from tests.waiting import eventually

PASSWORD = "correct horse 7 é"
ACCOUNTS = {"root": 0, "ada": 2001, "bob": 2002, "old": 2003, "locked": 2004, "ann": 2005}
UNIX = "auth required pam_unix.so nodelay\naccount required pam_unix.so\n"
SERVICES = {
    "lab": UNIX,
    "slow": "auth required pam_exec.so quiet /bin/sleep 25\n",
    "open": "auth required pam_permit.so\naccount required pam_permit.so\n",
    "broken": "auth required pam_of_nobody.so\n",
    "told": "auth required pam_exec.so quiet log={log} /usr/bin/printenv PAM_RHOST\n"
    "auth required pam_permit.so\naccount required pam_permit.so\n",
    "near": "auth required pam_permit.so\n"
    "account required pam_access.so nodefgroup accessfile={access}\n",
}
ACCESS = "+ : ALL : 192.0.2.0/24 2001:db8::/32\n- : ALL : ALL\n"
LIBPAM = shutil.which("unshare") and Path("/etc/pam.d").exists() and os.geteuid() == 0
pytestmark = pytest.mark.skipif(
    not LIBPAM or subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0,
    reason="needs root, PAM and a mount namespace",
)
BOUND = ("passwd", "shadow", "group", "pam.d")
MOUNTS = "".join(f'mount --bind "$0/{name}" /etc/{name} && ' for name in BOUND)


@pytest.fixture
def etc(tmp_path, monkeypatch):
    """The `/etc` of the accounts."""
    folder = tmp_path / "etc"
    (folder / "pam.d").mkdir(parents=True)
    for service, text in SERVICES.items():
        names = {"log": tmp_path / "log", "access": tmp_path / "access"}
        (folder / "pam.d" / service).write_text(text.format(**names))
    (tmp_path / "access").write_text(ACCESS)
    crypt = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"],
        input=PASSWORD.encode(),
        capture_output=True,
        check=True,
    )
    secret = crypt.stdout.decode().strip()
    passwd = [f"{name}:x:{id}:{id}::/:/bin/sh\n" for name, id in ACCOUNTS.items()]
    (folder / "passwd").write_text("".join(passwd))
    ends = {"old": "0:0:99999:7:::", "locked": "20000:0:99999:7::1:"}
    shadow = [f"{name}:{secret}:{ends.get(name, '20000::::::')}\n" for name in ACCOUNTS]
    (folder / "shadow").write_text("".join(shadow))
    (folder / "shadow").chmod(0o600)
    put_groups(folder)
    # The mounts end with the process.
    wrapped = ("unshare", "--mount", "sh", "-c", f'{MOUNTS}exec "$@"', str(folder), *CHECK_COMMAND)
    monkeypatch.setattr(accounts, "CHECK_COMMAND", wrapped)
    return folder


def put_groups(folder, lab="ada,old,locked,root", reef=""):
    own = "".join(f"{name}:x:{id}:\n" for name, id in ACCOUNTS.items())
    text = f"{own}lab:x:3000:{lab}\nreef team:x:3001:{reef}\n"
    folder.joinpath("group").write_text(text)


@pytest.fixture
def team(make_daemon, etc, request):
    daemon = make_daemon(
        auth="tokens",
        user="ada@x.org",
        public_url=f"https://{HOST}",
        **{
            "pam": "lab",
            "pam_domain": "lab.org",
            "pam_groups": "lab,reef team:Reef:admin,reef team:not there yet",
            **getattr(request, "param", {}),
        },
    )
    return Team(daemon, Http(daemon.app))


@pytest.fixture
def tab(team):
    return TabOfBrowser(team)


def log_in(tab, name="ada", password=PASSWORD, **more):
    return tab("POST", "login/account", json={"name": name, "password": password}, **more)


def wrong(answer):
    assert failed(answer, 401, "LOGIN_REFUSED")["message"] == NAME_OR_PASSWORD


NAME_OR_PASSWORD = "The name or the password is wrong"


def stored(team):
    with team.daemon.db.read() as sql:
        tables = ("sessions", "events", "idempotency_keys")
        return repr([sql.exec_driver_sql(f"SELECT * FROM {table}").fetchall() for table in tables])


@pytest.mark.parametrize("name", ["ada", " Ada ", "ada@lab.org"])
def test_account_of_a_group_logs_in(team, tab, name):
    assert tab("GET", "login").json()["accounts"] is True
    assert log_in(tab, name).json() == {"user": "ada@lab.org"}
    assert tab("GET", "me").json()["user"] == "ada@lab.org"
    [session] = tab("GET", "sessions").json()
    assert session["method"] == "account"
    assert PASSWORD not in stored(team)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", "wrong"),
        ("ada", PASSWORD + " "),
        ("nobody", PASSWORD),
        ("root", PASSWORD),
        ("ada@x.org", PASSWORD),
        ("lab.org\\ada", PASSWORD),
        ("../ada", PASSWORD),
        ("ada\n", "wrong"),
        ("locked", "wrong"),
    ],
)
def test_wrong_name_and_wrong_password_have_the_same_answer(tab, name, password):
    wrong(log_in(tab, name, password))
    assert tab.cookie is None


@pytest.mark.parametrize("password", ["", f"{PASSWORD}\0more", "x" * 513, 7, None, "\ud800"])
def test_password_that_no_account_can_have_is_refused(tab, password):
    """PAM would stop reading at a NUL, and take the rest for right."""
    body = b'{"name": "ada", "password": "\\ud800"}'
    if password == "\ud800":
        answer = tab("POST", "login/account", {"Content-Type": "application/json"}, content=body)
    else:
        answer = log_in(tab, "ada", password)
    assert answer.status_code in {400, 422}, answer.text
    assert PASSWORD not in answer.text


def test_account_that_may_not_log_in_is_refused_although_the_password_is_right(tab):
    message = failed(log_in(tab, "old"), 401, "LOGIN_REFUSED")["message"]
    assert message == "Your password has expired"
    wrong(log_in(tab, "locked"))


def test_account_of_no_group_needs_a_project_or_an_invitation(team, tab):
    problem = failed(log_in(tab, "bob"), 401, "LOGIN_REFUSED")
    assert problem["message"] == "bob@lab.org may not use this daemon"
    assert team.invite(email="bob@lab.org").status_code == 201
    assert log_in(tab, "bob").status_code == 200
    body = {"email": "ann@lab.org", "role": "viewer"}
    team("operator", "POST", f"projects/{team.project}/members", json=body)
    assert log_in(tab, "ann").status_code == 200


def test_roles_follow_the_groups_of_the_computer(team, tab, etc):
    put_groups(etc, reef="ada,bob")
    assert log_in(tab, "bob").status_code == 200
    assert tab("GET", "me").json()["roles"] == {team.project: "admin"}
    put_groups(etc, lab="bob", reef="ada")
    assert log_in(tab, "bob").status_code == 200
    assert tab("GET", "me").json()["roles"] == {}


def test_wrong_passwords_are_in_the_audit_log_and_what_nobody_is_called_is_not(team, tab, caplog):
    """Somebody may have typed a password into the field of the name."""
    wrong(log_in(tab, "bob", "hunter2"))
    wrong(log_in(tab, "hunter2", "x"))
    entries = team("operator", "GET", "audit").json()
    tried = [entry for entry in entries if entry["event"] == "login_failed"]
    assert [(e["actor"], e["subject"]) for e in tried] == [("anonymous", "bob@lab.org")]
    assert "hunter2" not in stored(team) + caplog.text


def test_passwords_of_an_account_cannot_be_guessed(team, tab, clock):
    for _ in range(MOST_WRONG_PASSWORDS):
        wrong(log_in(tab, "ada", "wrong"))
    answer = log_in(tab, "ada")
    failed(answer, 429, "TOO_MANY_ATTEMPTS")
    assert int(answer.headers["Retry-After"]) == 15 * 60 + 1
    clock.advance(minutes=16)
    assert log_in(tab, "ada").status_code == 200


def test_attempts_at_once_count_each(team):
    async def all_at_once():
        transport = httpx.ASGITransport(team.daemon.app, raise_app_exceptions=False)
        headers = {"Host": HOST, "Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost:8947"
        ) as client:
            body = {"name": "ada", "password": "wrong"}
            posts = [
                client.post("/api/v1/login/account", json=body, headers=headers)
                for _ in range(MOST_WRONG_PASSWORDS + 3)
            ]
            return sorted([answer.status_code for answer in await asyncio.gather(*posts)])

    assert asyncio.run(all_at_once()) == [401] * MOST_WRONG_PASSWORDS + [429] * 3


@pytest.mark.parametrize("team", [{"pam": "open"}], indirect=True)
def test_one_address_cannot_try_many_names_and_logins_do_not_count(team, tab):
    for number in range(MOST_OF_ONE_ADDRESS):
        assert log_in(tab, "ada").status_code == 200
        wrong(log_in(tab, f"name{number}"))
    failed(log_in(tab, "ada"), 429, "TOO_MANY_ATTEMPTS")


@pytest.mark.parametrize("team", [{"pam": "open", "trusted_proxies": "127.0.0.1"}], indirect=True)
def test_computer_with_many_addresses_of_ipv6_is_one_computer(tab):
    for number in range(MOST_OF_ONE_ADDRESS):
        wrong(from_address(tab, f"2001:db8:0:1::{number:x}", f"name{number}"))
    failed(from_address(tab, "2001:db8:0:1::ffff"), 429, "TOO_MANY_ATTEMPTS")
    assert from_address(tab, "2001:db8:0:2::1").status_code == 200


def from_address(tab, address, name="ada"):
    """A login that came by a proxy."""
    headers = {"X-Forwarded-For": address, "X-Forwarded-Proto": "https"}
    return log_in(tab, name, headers=headers)


@pytest.mark.parametrize(
    ("team", "address"),
    [
        ({"pam": "told", "trusted_proxies": "127.0.0.1"}, "192.0.2.7"),
        ({"pam": "told"}, "127.0.0.1"),
    ],
    indirect=["team"],
    ids=["by a trusted proxy", "by nobody that is trusted"],
)
def test_modules_of_pam_hear_the_address_of_who_logs_in(team, tab, tmp_path, address):
    """Only a trusted proxy may say another one, so that nobody lets others be locked out."""
    assert from_address(tab, "192.0.2.7").status_code == 200
    words = (tmp_path / "log").read_text().split()
    assert words[-1] == address, words


@pytest.mark.parametrize("team", [{"pam": "near", "trusted_proxies": "127.0.0.1"}], indirect=True)
def test_pam_access_lets_in_who_comes_from_the_lab(tab):
    for address in ("192.0.2.7", "2001:db8::7"):
        assert from_address(tab, address).status_code == 200
    for address in ("198.51.100.7", "2001:db9::7"):
        wrong(from_address(tab, address))


@pytest.mark.parametrize("team", [{"pam": "slow"}], indirect=True)
def test_module_that_hangs_holds_nobody_else_and_ends(team, etc, monkeypatch):
    """Its password is in no argument and no environment meanwhile."""

    async def hang():
        transport = httpx.ASGITransport(team.daemon.app, raise_app_exceptions=False)
        headers = {"Host": HOST, "Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost:8947"
        ) as client:
            body = {"name": "ada", "password": PASSWORD}
            slow = [
                asyncio.create_task(
                    client.post("/api/v1/login/account", json=body, headers=headers)
                )
                for _ in range(MOST_WRONG_PASSWORDS)
            ]
            await asyncio.to_thread(eventually, sleepers, 10)
            assert PASSWORD not in everything_shown()
            ways = await client.get("/api/v1/login", headers=headers)
            assert ways.status_code == 200
            assert not any(task.done() for task in slow)
            return await asyncio.gather(*slow)

    monkeypatch.setattr(accounts, "CHECK_SECONDS", 12.0)
    for answer in asyncio.run(hang()):
        failed(answer, 503, "ACCOUNTS_UNAVAILABLE")
    assert not any("pam_check" in words and str(etc) in words for words in shown("cmdline"))


def sleepers():
    """The arguments of what the slow module runs."""
    return [words for words in shown("cmdline") if words == "/bin/sleep 25"]


def everything_shown():
    return "".join(shown("cmdline") + shown("environ"))


def shown(file):
    texts = []
    for path in Path("/proc").glob(f"[0-9]*/{file}"):
        try:
            texts.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip())
        except OSError:
            continue  # the process has ended
    return texts


@pytest.mark.parametrize("team", [{"pam": "broken"}, {"pam": "missing"}], indirect=True)
def test_service_that_cannot_work_lets_nobody_in(tab):
    wrong(log_in(tab))


@pytest.mark.parametrize("output", ["", "no answer", '{"is_right": "yes"}'])
def test_check_that_crashes_lets_nobody_in(tab, monkeypatch, output):
    monkeypatch.setattr(accounts, "CHECK_COMMAND", ("printf", "%s", output))
    answer = log_in(tab)
    assert failed(answer, 503, "ACCOUNTS_UNAVAILABLE")["details"].endswith("has crashed")


def test_check_that_crashes_leaves_no_core_with_the_password(tmp_path):
    def allow_cores():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)

    program = (
        "import os, sys; from prism.sessions import pam_check; "
        "pam_check.answer = lambda **_: os.abort(); pam_check.main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        cwd=tmp_path,
        preexec_fn=allow_cores,
    ) as process:
        with not_none(process.stdin) as request:
            request.write(b'{"service": "lab", "name": "ada", "password": "hunter2"}')
        _, status = os.waitpid(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("team", [{"pam": ""}], indirect=True)
def test_daemon_without_pam_takes_no_passwords(tab):
    assert tab("GET", "login").json()["accounts"] is False
    failed(log_in(tab), 403, "LOGIN_UNAVAILABLE")


@pytest.mark.parametrize("page", [{"Origin": "https://evil.example"}, {"Origin": "null"}])
def test_page_of_another_site_logs_nobody_in(tab, page):
    answer = log_in(tab, headers={**page, "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert tab.cookie is None


@pytest.mark.parametrize(
    ("files", "uid", "words"),
    [
        ({}, 0, "has no service 'lab'"),
        ({"lab": UNIX}, 0, None),
        ({"lab": UNIX}, 1000, "its own user only"),
        ({"lab": "@include more\n", "more": UNIX}, 1000, "its own user only"),
        ({"lab": "auth include lab\n" + UNIX}, 1000, "its own user only"),
        ({"lab": UNIX + "auth sufficient pam_sss.so\n"}, 1000, None),
    ],
)
def test_daemon_says_which_accounts_it_cannot_check(tmp_path, files, uid, words):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    problem = service_problem("lab", uid, [str(tmp_path)])
    assert problem is None if words is None else words in (problem or "")


@pytest.mark.parametrize("team", [{"pam": "missing"}], indirect=True)
def test_status_says_that_the_service_is_missing(team):
    status = team("operator", "GET", "daemon/status").json()
    assert any("PAM has no service 'missing'" in reason for reason in status["reasons"])


@pytest.mark.parametrize(
    "environ",
    [
        {"PRISM_PAM": "login"},
        {"PRISM_PAM": "../login", "PRISM_AUTH": "tokens"},
        {"PRISM_PAM_GROUPS": "lab:reef:owner"},
        {"PRISM_PAM_GROUPS": "lab::admin"},
    ],
)
def test_settings_that_cannot_work_are_refused(environ):
    with pytest.raises(SettingInvalid):
        Settings.read(environ)
