"""The file with the logins of a home, and which daemon gets which token."""

import json
import os

import pytest

from prism.client import Client
from prism.client.transport.address import DaemonAddress
from prism.client.transport.logins import LOGINS_FILE, LoginsNotPrivate, StoredLogins

URL, OTHER = "https://prism.example.org", "https://other.example.org"
LOGIN = {"token": "prism_ses_1.x", "user": "ada@x.org", "session": "ses_1", "expires_at": "z"}


@pytest.fixture
def logins(home):
    logins = StoredLogins(str(home), URL, {URL: LOGIN})
    logins.write()
    return logins


def read(home, **variables):
    return DaemonAddress.read({"PRISM_HOME": str(home), **variables})


def test_the_last_login_is_used_without_variables(home, logins):
    address = read(home)
    assert (address.url, address.token, address.by_login) == (URL, LOGIN["token"], True)
    assert "prism login" in address.named_by


def test_token_of_a_login_goes_to_its_own_daemon_only(home, logins):
    assert read(home, PRISM_URL=OTHER).token == ""
    assert read(home, PRISM_URL=f"{URL}.evil.example").token == ""
    assert read(home, PRISM_URL=URL).token == LOGIN["token"]
    logins.current = ""
    logins.write()
    assert (read(home).url, read(home).token) == ("", "")


def test_token_of_a_script_comes_before_the_login(home, logins):
    address = read(home, PRISM_TOKEN="prism_tok_1.x")
    assert (address.url, address.token) == ("", "prism_tok_1.x")
    address = read(home, PRISM_TOKEN="prism_tok_1.x", PRISM_URL=URL)
    assert (address.url, address.token) == (URL, "prism_tok_1.x")


def test_commands_of_this_computers_daemon_ignore_the_login(home, logins):
    address = DaemonAddress.of_variables({"PRISM_HOME": str(home)})
    assert (address.url, address.token) == ("", "")


def test_client_of_another_home_gets_no_token(home, logins, tmp_path, monkeypatch):
    monkeypatch.setenv("PRISM_HOME", str(home))
    assert Client()._wire.address.token == LOGIN["token"]
    for client in (Client(home=tmp_path), Client(url=OTHER)):
        assert client._wire.address.token == ""


def test_file_is_readable_by_its_owner_only_also_in_place_of_a_wider_draft(home, logins):
    path = home / LOGINS_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    draft = home / f"{LOGINS_FILE}.new"
    draft.write_text("x" * 10_000)
    draft.chmod(0o666)
    logins.write()
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["current"] == URL


def test_file_that_others_can_read_or_write_is_refused(home, logins):
    for mode in (0o640, 0o604, 0o620, 0o602):
        (home / LOGINS_FILE).chmod(mode)
        with pytest.raises(LoginsNotPrivate, match="Other users"):
            read(home)


def test_link_in_place_of_the_file_is_not_followed(home, logins, tmp_path):
    (home / LOGINS_FILE).rename(tmp_path / "elsewhere")
    (home / LOGINS_FILE).symlink_to(tmp_path / "elsewhere")
    assert StoredLogins.read(str(home)).by_url == {}
    os.symlink(tmp_path / "victim", home / f"{LOGINS_FILE}.new")
    with pytest.raises(OSError):
        logins.write()
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"logins": 1, "current": ""}'])
def test_broken_file_is_no_login(home, logins, text):
    (home / LOGINS_FILE).write_text(text)
    assert StoredLogins.read(str(home)).by_url == {}
