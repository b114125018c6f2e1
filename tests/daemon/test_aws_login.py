"""Logging in to AWS again while a daemon runs: it continues without a restart."""

import pytest

from tests.daemon.wiring.test_providers import THERE, DaemonOnDouble

ACCOUNT = "123456789012"
SERIAL = f"arn:aws:iam::{ACCOUNT}:mfa/ada"


@pytest.fixture
def desk(tmp_path, aws, monkeypatch):
    """A daemon whose AWS profile `lab` is a role that needs a code."""
    for name, value in aws.environ("us-west-2").items():
        if "ACCESS_KEY" not in name:
            monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "config"
    config.write_text(
        f"[profile lab]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/lab\nsource_profile = me\n"
        f"mfa_serial = {SERIAL}\n[profile me]\naws_access_key_id = {ACCOUNT}\n"
        "aws_secret_access_key = secret\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("HOME", str(tmp_path))
    desk = DaemonOnDouble(tmp_path)
    desk.use(aws_profile="lab")
    yield desk
    desk.daemon.close()


def test_launch_without_a_code_names_the_command(desk):
    answer = desk.post("instances/launch", name="mine", template="plain-shell")
    error = answer["error"]
    assert error["code"] == "AWS_CREDENTIALS_MISSING"
    assert f"it needs the MFA code for {SERIAL}" in error["message"]
    assert "`prism aws login --aws-profile lab`" in error["remediation"]


def test_code_of_the_device_logs_the_daemon_in_without_a_restart(desk):
    state = desk.post("daemon/aws/login", profile="lab")
    assert (state["kind"], state["serial"], state["identity"]) == ("mfa", SERIAL, None)
    wrong = desk.post("daemon/aws/login", profile="lab", code="999999")["error"]
    assert "invalid MFA one time pass code" in wrong["message"]
    assert desk.post("daemon/aws/login", code="12")["error"]["code"] == "VALIDATION_FAILED"
    state = desk.post("daemon/aws/login", code="123456")
    assert ":assumed-role/lab/" in state["identity"]
    with desk.loops_running():
        desk.daemon.settle()
    assert desk.post("instances/launch", name="mine", template="plain-shell")["state"]
    assert desk.place(THERE) is None or desk.place(THERE)["problem"] is None


def test_login_of_a_named_section_of_awss_files(desk):
    state = desk.post("daemon/aws/login", aws_profile="me")
    assert (state["kind"], state["identity"]) == ("other", f"arn:aws:iam::{ACCOUNT}:user/prism")
