"""The findings of `prism doctor` by HTTP, as a real daemon finds them."""

import json

import pytest

from prism.daemon.doctor import Doctor, DoctorFailed
from prism.kit.clock import WallClock
from tests.project.living import Home


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("doctor") / "home")
    try:
        # Whoever starts a daemon may have had another one in mind.
        with home.living(PRISM_URL="http://127.0.0.1:1"):
            yield home
    finally:
        home.clear()


def test_the_daemon_and_the_command_find_the_same(home):
    report = home.client.daemon.doctor()
    findings = json.loads(home.cli("doctor", "--daemon", "--json").stdout)
    # What they say may have figures of the moment in it.
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


def test_what_is_wrong_with_the_daemons_home_is_found_by_it(home):
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


def test_checks_that_cannot_run_are_said(monkeypatch, tmp_path):
    monkeypatch.setattr("prism.daemon.doctor.COMMAND", ("-c", "print('no JSON')"))
    with pytest.raises(DoctorFailed):
        Doctor(WallClock(), str(tmp_path)).examine()
