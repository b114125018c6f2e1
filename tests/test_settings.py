"""Settings: read once, invalid values are named, secrets are not shown."""

import os
import socket
from typing import Any

import pytest

from prism.agent.network import namespace
from prism.agent.network.reachable_addresses import destinations, mode_of
from prism.agent.sandbox import identity
from prism.providers.local.provider import local_compute
from prism.settings import SettingInvalid, Settings, variable


def test_empty_environment_gives_the_defaults():
    settings = Settings.read({})
    assert settings == Settings()
    assert (settings.home, settings.host, settings.port) == ("~/.prism", "127.0.0.1", 8947)
    assert (settings.auth, settings.local_prices) == ("local", "none")
    assert settings.terminated_retention == 300


def test_every_field_is_read_from_its_variable():
    values: dict[str, Any] = {
        "home": "/srv/prism",
        "host": "::1",
        "port": 0,
        "database_url": "postgresql://prism@db/prism",
        "database_timeout": 3,
        "user": "ada@example.org",
        "profile": "grant",
        "url": "http://localhost:1234",
        "public_url": "https://prism.example.org",
        "tls_cert": "/etc/prism/cert.pem",
        "tls_key": "/etc/prism/key.pem",
        "tls_port": 8443,
        "trusted_proxies": "127.0.0.1, 10.0.0.0/24",
        "apps_domain": "apps.example.org",
        "auth": "tokens",
        "oidc_issuer": "https://id.example.org/realms/lab",
        "oidc_client_id": "prism",
        "oidc_client_secret": "hidden",
        "oidc_domains": "example.org, lab.example.org",
        "oidc_file": "/srv/providers.toml",
        "pam": "login",
        "pam_groups": "lab,reef-team:reef,domain users:reef:viewer",
        "pam_domain": "lab.example.org",
        "login_links": "mail",
        "project_creation": "everybody",
        "token": "secret",
        "daemon_user": "prism",
        "connections": 100,
        "connections_per_peer": 10,
        "drain": 5,
        "local_prices": "aws",
        "wake_on_request": "all",
        "caller_cidr": "203.0.113.0/24",
        "uid_range": "70000-80000",
        "pids_max": 100,
        "workspace_network": "internet",
        "workspace_network_allow": "10.2.0.7:5432",
        "copy_password_file": "/srv/passphrase",
        "terminated_retention": 5,
        "log_level": "debug",
        "smtp_url": "smtp://mail.example.org:587",
        "mail_from": "prism@example.org",
        "webhooks": "operator",
        "webhook_networks": "10.2.0.0/16, ::1",
    }
    assert set(values) == set(Settings.__struct_fields__)
    environ = {variable(name): str(value) for name, value in values.items()}
    assert Settings.read(environ) == Settings(**values)


def test_empty_variable_counts_as_unset():
    assert Settings.read({"PRISM_PORT": "", "PRISM_AUTH": ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PRISM_PORT", "http", "a whole number from 0 to 65535"),
        ("PRISM_PORT", "65536", "a whole number from 0 to 65535"),
        ("PRISM_PORT", "-1", "a whole number from 0 to 65535"),
        ("PRISM_PORT", "80.5", "a whole number from 0 to 65535"),
        ("PRISM_TERMINATED_RETENTION", "5m", "a whole number of seconds, 0 or more"),
        ("PRISM_AUTH", "none", "one of local, tokens"),
        ("PRISM_LOCAL_PRICES", "gcp", "one of none, aws"),
        ("PRISM_CALLER_CIDR", "203.0.113.7", "as `203.0.113.7/32`"),
        ("PRISM_CALLER_CIDR", "0.0.0.0/0", "not everybody"),
        ("PRISM_CALLER_CIDR", "203.0.113.300/32", "a range of addresses"),
        ("PRISM_LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("PRISM_DATABASE_URL", "mysql://db/prism", "`sqlite:///FILE` or `postgresql://"),
        ("PRISM_URL", "localhost:8947", "`http://HOST:PORT`"),
        ("PRISM_PUBLIC_URL", "https://prism.example.org/path", "`https://HOST`"),
        ("PRISM_SMTP_URL", "mail.example.org", "`smtp://"),
        ("PRISM_HOST", "0.0.0.0", "an address of this machine"),
        ("PRISM_HOST", "prism.example.org", "an address of this machine"),
    ],
)
def test_invalid_value_names_the_variable_and_the_allowed_values(name, value, allowed):
    with pytest.raises(SettingInvalid) as raised:
        Settings.read({name: value})
    problem = raised.value
    assert problem.message == f"{name} is {value!r}"
    assert allowed in problem.details
    assert name in problem.remediation


def test_invalid_value_error_does_not_contain_the_password():
    with pytest.raises(SettingInvalid) as raised:
        Settings.read({"PRISM_DATABASE_URL": "mysql://ada:hunter2@db/prism"})
    assert "hunter2" not in raised.value.message + raised.value.details


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]"])
def test_loopback_host_is_always_accepted(host):
    assert Settings.read({"PRISM_HOST": host}).host == host


def test_public_host_requires_a_public_url_and_tokens():
    world = {"PRISM_HOST": "0.0.0.0"}
    named, guarded = {"PRISM_PUBLIC_URL": "https://prism.example.org"}, {"PRISM_AUTH": "tokens"}
    assert Settings.read(world | named | guarded).host == "0.0.0.0"
    for incomplete in (named, guarded):
        with pytest.raises(SettingInvalid):
            Settings.read(world | incomplete)


def test_paths_are_absolute_and_below_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = Settings()
    assert settings.folder == tmp_path / ".prism"
    assert settings.templates == tmp_path / ".prism" / "templates"
    assert settings.workspaces == tmp_path / ".prism" / "workspaces"
    assert settings.socket == tmp_path / ".prism" / "prism.sock"
    assert settings.database == f"sqlite:///{tmp_path}/.prism/state.db"
    monkeypatch.chdir(tmp_path)
    assert Settings(home="here").folder == tmp_path / "here"


def test_socket_path_is_short_enough_to_be_bound(tmp_path):
    deep = tmp_path.joinpath("ä" * 60, "b" * 60)
    replacement = Settings(home=str(deep)).socket
    user = os.getuid()  # the first exists only while somebody is logged in
    places = {f"/run/user/{user}/prism", "/run/prism", f"/tmp/prism-{user}"}
    assert str(replacement.parent) in places
    assert replacement != Settings(home=str(deep / "c")).socket, "each home has a path of its own"
    for length in range(70, 120):
        home = "/" + "h" * length
        assert len(os.fsencode(Settings(home=home).socket)) <= 100


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_url_gets_the_installed_driver(scheme):
    settings = Settings.read({"PRISM_DATABASE_URL": f"{scheme}://ada@db/prism"})
    assert settings.database == "postgresql+psycopg://ada@db/prism"


def test_actor_is_the_user_setting_or_the_login(monkeypatch):
    assert Settings(user="ada@example.org").actor == "ada@example.org"
    monkeypatch.setenv("LOGNAME", "ada")
    assert Settings().actor == f"ada@{socket.gethostname()}"

    def nameless():
        raise KeyError("uid not found")

    monkeypatch.setattr("prism.settings.getuser", nameless)
    assert Settings().actor == f"uid{os.getuid()}@{socket.gethostname()}"


def test_secrets_are_not_shown():
    settings = Settings(
        token="t0ken",
        database_url="postgresql://ada:hunter2@db/prism?password=hunter3&sslmode=require",
        smtp_url="smtp://ada:hunter4@mail.example.org",
    )
    for text in (repr(settings), str(settings), f"{settings}"):
        assert "t0ken" not in text
        assert "hunter" not in text
        assert "postgresql://ada:***@db/prism?password=***&sslmode=require" in text


@pytest.fixture
def load_env(tmp_path):
    """Loads the settings with this file in the home."""

    def load(text, **environ):
        (tmp_path / "env").write_bytes(text if isinstance(text, bytes) else text.encode())
        return Settings.load({"PRISM_HOME": str(tmp_path), **environ})

    return load


def test_environment_overrides_the_env_file(load_env):
    text = "# mine\n\nPRISM_USER=ada@example.org\nexport PRISM_PORT='9000'\n  PRISM_PROFILE = \n"
    settings = load_env(text, PRISM_PORT="9001", PRISM_USER="")
    assert (settings.user, settings.port, settings.profile) == ("ada@example.org", 9001, "")
    assert load_env('PRISM_LOCAL_PRICES="aws"').local_prices == "aws"
    assert load_env("").user == ""


def test_missing_env_file_is_ignored(tmp_path):
    assert Settings.load({"PRISM_HOME": str(tmp_path), "PRISM_PORT": "1"}).port == 1


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("PRISM_USR=ada@example.org", "line 1, is not a setting", "Did you mean PRISM_USER?"),
        ("PRISM_USER=a@b.c\nwhatever", "line 2, is not a setting", "Remove the line"),
        ("PRISM_HOME=/elsewhere", "line 1, is not a setting", "PRISM_HOST"),
        ("PRISM_PORT=http", "PRISM_PORT is 'http'", "Set PRISM_PORT"),
        (b"PRISM_USER=\xff", "is not UTF-8", "Write it anew"),
    ],
)
def test_invalid_env_file_is_refused_with_line_and_remedy(load_env, text, message, remedy):
    with pytest.raises(SettingInvalid) as raised:
        load_env(text)
    assert message in raised.value.message
    assert remedy in raised.value.remediation


@pytest.mark.parametrize("text", ["0-5", "5-4", "5", "a-b", "1-4294967295", "-1-5", "1-2-3"])
def test_invalid_uid_range_is_refused(text):
    with pytest.raises(SettingInvalid, match="PRISM_UID_RANGE"):
        Settings.read({"PRISM_UID_RANGE": text})


def test_supervisors_have_the_same_defaults():
    assert Settings().uid_range == identity.DEFAULT_RANGE
    assert Settings().pids_max == identity.MOST_PROCESSES
    assert variable("workspace_network") == namespace.MODE_VARIABLE
    assert local_compute(Settings()).environ.keys() == {
        identity.RANGE_VARIABLE,
        identity.PROCESSES_VARIABLE,
        namespace.MODE_VARIABLE,
        namespace.ALLOWED_VARIABLE,
    }
    assert mode_of("") == Settings().workspace_network


DESTINATIONS = ["10.2.0.7", "10.2.0.7:5432,10.3.0.0/16", "fd00::1 [fd00::/64]:443", "::1:80", ""]
NO_DESTINATIONS = ["db.lab", "10.2.0.7:0", "10.2.0.7:65536", "10.2.0.7/8", "[fd00::1]:"]


@pytest.mark.parametrize("text", DESTINATIONS)
def test_destinations_are_accepted_as_supervisors_read_them(text):
    allowed = Settings.read({"PRISM_WORKSPACE_NETWORK_ALLOW": text}).workspace_network_allow
    assert len(destinations(allowed)) == len(text.replace(",", " ").split())


@pytest.mark.parametrize("text", NO_DESTINATIONS)
def test_invalid_destinations_are_refused(text):
    with pytest.raises(SettingInvalid, match="PRISM_WORKSPACE_NETWORK_ALLOW"):
        Settings.read({"PRISM_WORKSPACE_NETWORK_ALLOW": text})
    with pytest.raises(ValueError, match=r".*"):
        destinations(text)


@pytest.mark.parametrize(("older", "mode"), [("own", "lan"), ("shared", "host")])
def test_older_values_of_the_network_go_on_working(older, mode):
    assert mode_of(Settings.read({"PRISM_WORKSPACE_NETWORK": older}).workspace_network) == mode


@pytest.mark.parametrize(
    "home",
    ['/srv/a"b', "/srv/a\\b", "/srv/a:b", "/srv/" + "h" * 446, "/srv/" + "h/" * 1200],
)
def test_home_that_some_program_cannot_use_is_refused(home):
    with pytest.raises(SettingInvalid, match="PRISM_HOME is"):
        Settings.read({"PRISM_HOME": home})


def test_home_is_judged_by_its_real_path(tmp_path):
    (tmp_path / 'a"b').mkdir()
    (tmp_path / "link").symlink_to(tmp_path / 'a"b')
    with pytest.raises(SettingInvalid, match="PRISM_HOME is"):
        Settings.read({"PRISM_HOME": str(tmp_path / "link")})


OIDC = {
    "PRISM_AUTH": "tokens",
    "PRISM_PUBLIC_URL": "https://prism.example.org",
    "PRISM_OIDC_ISSUER": "https://id.example.org",
    "PRISM_OIDC_CLIENT_ID": "prism",
    "PRISM_OIDC_CLIENT_SECRET": "hidden",
}


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("PRISM_AUTH", "local", "PRISM_AUTH must be tokens"),
        ("PRISM_PUBLIC_URL", "http://prism.example.org", "PRISM_PUBLIC_URL must begin with"),
        ("PRISM_PUBLIC_URL", "", "PRISM_PUBLIC_URL must begin with"),
        ("PRISM_OIDC_CLIENT_ID", "", "PRISM_OIDC_CLIENT_ID must be"),
        ("PRISM_OIDC_ISSUER", "http://id.example.org", "PRISM_OIDC_ISSUER must begin with"),
    ],
)
def test_identity_provider_with_which_nobody_could_log_in_is_refused(name, value, problem):
    assert Settings.read(OIDC).login_problem == ""
    with pytest.raises(SettingInvalid) as raised:
        Settings.read(OIDC | {name: value})
    assert problem in raised.value.details


PUBLIC = {
    "PRISM_AUTH": "tokens",
    "PRISM_PUBLIC_URL": "https://prism.example.org",
    "PRISM_TLS_CERT": "/etc/prism/cert.pem",
    "PRISM_TLS_KEY": "/etc/prism/key.pem",
    "PRISM_TRUSTED_PROXIES": "127.0.0.1,::1",
    "PRISM_APPS_DOMAIN": "apps.example.org",
}


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("PRISM_AUTH", "local", "PRISM_AUTH must be tokens"),
        ("PRISM_PUBLIC_URL", "http://prism.example.org", "PRISM_PUBLIC_URL must begin with"),
        ("PRISM_PUBLIC_URL", "https://apps.example.org", "must not be in that domain"),
        ("PRISM_PUBLIC_URL", "https://a.apps.example.org:8443", "must not be in that domain"),
        ("PRISM_TLS_KEY", "", "PRISM_TLS_KEY must be the file"),
        ("PRISM_TLS_CERT", "", "PRISM_TLS_CERT must be the file"),
        ("PRISM_TRUSTED_PROXIES", "0.0.0.0/0", "PRISM_TRUSTED_PROXIES must be"),
        ("PRISM_TRUSTED_PROXIES", "10.0.0.0/99", "PRISM_TRUSTED_PROXIES must be"),
        ("PRISM_TRUSTED_PROXIES", "10.0.0.0/8;evil", "PRISM_TRUSTED_PROXIES must be"),
        ("PRISM_APPS_DOMAIN", "localhost", "PRISM_APPS_DOMAIN must be"),
        ("PRISM_APPS_DOMAIN", "apps.example.org:8443", "PRISM_APPS_DOMAIN must be"),
    ],
)
def test_public_address_that_cannot_work_is_refused(name, value, problem):
    settings = Settings.read(PUBLIC)
    assert (settings.public_tls_port, len(settings.proxy_networks)) == (443, 2)
    with pytest.raises(SettingInvalid) as raised:
        Settings.read(PUBLIC | {name: value})
    assert problem in raised.value.details


def test_secret_of_the_identity_provider_is_masked():
    assert "hidden" not in repr(Settings.read(OIDC))
