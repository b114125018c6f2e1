"""The findings of `prism doctor` through the API of a real daemon."""

import json

import pytest

from prism.daemon.doctor import Doctor, DoctorFailed
from prism.kit.clock import WallClock
from tests.project.home import Home


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("doctor") / "home")
    try:
        # The environment in which a daemon is started may contain the URL of another daemon.
        with home.run_daemon(PRISM_URL="http://127.0.0.1:1"):
            yield home
    finally:
        home.clear()


def test_doctor_route_and_command_have_equal_findings(home):
    report = home.client.daemon.doctor()
    findings = json.loads(home.cli("doctor", "--daemon", "--json").stdout)
    # The messages may contain changing numbers.
    findings_of_daemon = [
        (finding.check, finding.level, finding.fix) for finding in report.findings
    ]
    assert [
        (finding["check"], finding["level"], finding["fix"]) for finding in findings
    ] == findings_of_daemon
    checks = {finding.check: finding for finding in report.findings}
    assert checks["daemon"].level == "ok", checks["daemon"]
    assert {finding["check"] for finding in findings} >= {"daemon", "python"}
    assert all(
        finding.fix for finding in report.findings if finding.level in {"warning", "broken"}
    )
    assert "✓" in home.cli("doctor", "--daemon", PYTHONUTF8="1").stdout


def test_doctor_route_finds_a_fault_of_the_daemons_home(home):
    home.folder.chmod(0o755)
    try:
        findings = home.client.daemon.doctor().findings
    finally:
        home.folder.chmod(0o700)
    about_home = [
        finding for finding in findings if f"chmod 700 {home.folder}" in (finding.fix or "")
    ]
    assert about_home
    assert {finding.level for finding in about_home} == {"broken"}


def test_doctor_raises_if_the_checks_cannot_run(monkeypatch, tmp_path):
    monkeypatch.setattr("prism.daemon.doctor.COMMAND", ("-c", "print('no JSON')"))
    with pytest.raises(DoctorFailed):
        Doctor(WallClock(), str(tmp_path)).examine()
