"""What the daemon adds to its environment: certificates, and the package indexes of pip."""

import os

import pytest

from prism.daemon.network_environment import (
    default_certificates,
    pip_settings,
    prepare_environment,
    uv_indexes,
)

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
OWN = "/etc/corporation.pem"


@pytest.mark.parametrize(
    ("environ", "bundle", "is_trusted", "added"),
    [
        ({}, BUNDLE, True, {"UV_SYSTEM_CERTS": "1", "REQUESTS_CA_BUNDLE": BUNDLE}),
        (
            {},
            BUNDLE,
            False,
            {"UV_SYSTEM_CERTS": "1", "REQUESTS_CA_BUNDLE": BUNDLE, "SSL_CERT_FILE": BUNDLE},
        ),
        ({}, None, True, {}),
        (
            {"SSL_CERT_FILE": OWN},
            BUNDLE,
            False,
            {"UV_SYSTEM_CERTS": "1", "REQUESTS_CA_BUNDLE": OWN},
        ),
        ({"SSL_CERT_FILE": OWN}, None, True, {"REQUESTS_CA_BUNDLE": OWN}),
        ({"UV_SYSTEM_CERTS": "0", "REQUESTS_CA_BUNDLE": OWN}, BUNDLE, True, {}),
        ({"UV_NATIVE_TLS": "0", "REQUESTS_CA_BUNDLE": OWN}, BUNDLE, True, {}),
    ],
)
def test_programs_trust_what_the_system_trusts_unless_told_otherwise(
    environ, bundle, is_trusted, added
):
    assert default_certificates(environ, bundle, is_trusted=is_trusted) == added


@pytest.mark.parametrize(
    ("pip", "uv"),
    [
        ({"index_url": "https://mirror/simple"}, {"UV_DEFAULT_INDEX": "https://mirror/simple"}),
        ({"extra_index_url": "https://a\nhttps://b"}, {"UV_INDEX": "https://a https://b"}),
        ({"find_links": "https://a /nonexistent\n/usr"}, {"UV_FIND_LINKS": "https://a,/usr"}),
        ({"find_links": "/nonexistent"}, {}),
        ({"no_index": "true"}, {"UV_OFFLINE": "1"}),
        ({"no_index": "1", "find_links": "https://a"}, {"UV_FIND_LINKS": "https://a"}),
        ({"no_index": "0"}, {}),
    ],
)
def test_settings_of_pip_become_those_of_uv(pip, uv):
    assert uv_indexes(pip) == uv


@pytest.fixture
def own_files(tmp_path, monkeypatch):
    """No file of this computer's uv or pip."""
    monkeypatch.setattr("prism.daemon.network_environment.UV_FILES", (f"{tmp_path}/uv.toml",))
    monkeypatch.setattr("prism.daemon.network_environment.PIP_FILES", (f"{tmp_path}/pip.conf",))
    return tmp_path


def test_variables_of_pip_come_before_its_files(own_files):
    (own_files / "pip.conf").write_text(
        "[global]\nindex-url = https://one\nfind-links =\n  /a\n  /b\n[install]\nindex-url=https://two\n"
    )
    assert pip_settings({}) == {"index_url": "https://two", "find_links": "\n/a\n/b"}
    assert pip_settings({"PIP_INDEX_URL": "https://three"})["index_url"] == "https://three"
    assert pip_settings({"PIP_CONFIG_FILE": os.devnull}) == {}
    (own_files / "pip.conf").write_text("index-url = https://one")
    assert pip_settings({}) == {}, "a malformed file is for pip to report"


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_FIND_LINKS"])
def test_settings_of_uv_come_before_those_of_pip(own_files, variable):
    environ = {"PRISM_HOME": str(own_files), "PIP_INDEX_URL": "https://pip"}
    assert prepare_environment(environ)["UV_DEFAULT_INDEX"] == "https://pip"
    assert "UV_DEFAULT_INDEX" not in prepare_environment(environ | {variable: "/usr"})
    (own_files / "uv.toml").touch()
    assert "UV_DEFAULT_INDEX" not in prepare_environment(environ)


def test_file_of_the_home_sets_network_variables_unless_the_environment_does(own_files):
    (own_files / "env").write_text("HTTPS_PROXY=http://a\nSSL_CERT_FILE=/b\nPATH=/evil\n")
    added = prepare_environment({"PRISM_HOME": str(own_files)})
    assert (added["HTTPS_PROXY"], added["SSL_CERT_FILE"]) == ("http://a", "/b")
    assert added["REQUESTS_CA_BUNDLE"] == "/b"
    assert "PATH" not in added
    environ = {"PRISM_HOME": str(own_files), "HTTPS_PROXY": "http://c"}
    assert "HTTPS_PROXY" not in prepare_environment(environ)
