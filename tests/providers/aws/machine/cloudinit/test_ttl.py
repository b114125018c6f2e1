"""The expiry script of a machine, with a metadata service on loopback."""

import ast
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from prism.providers.aws.api.tags import duration, instant, moment
from prism.providers.aws.machine.cloudinit.agent import ttl
from prism.providers.aws.machine.cloudinit.script import MACHINE_FILES
from tests.optional import not_none
from tests.providers.aws.machine.cloudinit.imds import imds

SCRIPT = MACHINE_FILES / "ttl.py"


@pytest.fixture
def run_ttl_script(tmp_path):
    """Run the script once; return whether it would power off, and its output."""

    def look(address):
        off = tmp_path / "off"
        off.unlink(missing_ok=True)
        arguments = [
            "--address",
            address,
            "--kept",
            tmp_path / "kept",
            "--console",
            tmp_path / "said",
        ]
        command = [sys.executable, "-I", SCRIPT, *arguments, "touch", off]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return off.exists(), done.stdout + done.stderr

    return look


def tags(launched_ago, ttl):
    launched = datetime.now(UTC) - timedelta(hours=launched_ago)
    return {"prism:launched-at": instant(launched), "prism:ttl": ttl, "Name": "demo"}


def where(served):
    return f"http://127.0.0.1:{served.server_port}"


@pytest.mark.parametrize(
    ("ago", "ttl", "off"),
    [
        (2, "1h59m0s", True),
        (2, "2h1m", False),
        (2, "1.5h", True),
        (0, "0s", True),
        (300, "299h59m59.5s", True),
        (-1, "1h0m0s", False),
    ],
)
def test_machine_powers_off_after_its_expiry(run_ttl_script, ago, ttl, off):
    with imds(tags(ago, ttl)) as served:
        assert run_ttl_script(where(served))[0] is off


@pytest.mark.parametrize(("action", "off"), [("hibernate", False), ("stop", True)])
def test_power_off_is_delayed_by_two_minutes_for_hibernation(run_ttl_script, action, off):
    for length, powered in (("1h59m0s", off), ("1h57m0s", True)):
        with imds(tags(2, length) | {"prism:expire-action": action}) as served:
            assert run_ttl_script(where(served))[0] is powered


def test_power_off_is_reported_on_the_console(run_ttl_script, tmp_path):
    with imds(tags(2, "1h0m0s")) as served:
        output = run_ttl_script(where(served))[1]
    assert output.startswith("prism-ttl: going down, its time ended 20")
    assert output.strip() in (tmp_path / "said").read_text()


def test_machine_stays_on_after_its_expiry_is_removed(run_ttl_script, tmp_path):
    with imds(tags(2, "3h0m0s")) as served:
        assert run_ttl_script(where(served))[0] is False
        assert (tmp_path / "kept").exists()
        del served.tags["prism:ttl"]
        assert run_ttl_script(where(served)) == (False, "")
        assert not (tmp_path / "kept").exists()
        assert "/latest/meta-data/tags/instance/prism:ttl" in served.asked


def test_extended_expiry_applies_at_once(run_ttl_script):
    with imds(tags(2, "1h0m0s")) as served:
        assert run_ttl_script(where(served))[0] is True
        served.tags["prism:ttl"] = "3h0m0s"
        assert run_ttl_script(where(served))[0] is False


@pytest.mark.parametrize("lost", ["gone", "tags off", "nonsense", "no launch"])
def test_last_known_expiry_applies_if_the_tags_cannot_be_read(run_ttl_script, tmp_path, lost):
    with imds(tags(2, "3h0m0s")) as served:
        assert run_ttl_script(where(served))[0] is False
        was = (tmp_path / "kept").read_text()
        if lost == "tags off":
            served.tags = None
        elif lost == "nonsense":
            served.tags["prism:ttl"] = "soon"
        elif lost == "no launch":
            del served.tags["prism:launched-at"]
        if lost != "gone":
            assert run_ttl_script(where(served))[0] is False
            assert (tmp_path / "kept").read_text() == was
            (tmp_path / "kept").write_text("1000000000.0")
            assert run_ttl_script(where(served))[0] is True
    if lost == "gone":
        assert run_ttl_script(where(served))[0] is False
        (tmp_path / "kept").write_text("1000000000.0")
        assert run_ttl_script(where(served))[0] is True


def test_machine_powers_off_only_if_ec2_does_not_stop_it(tmp_path):
    stopped, off = tmp_path / "stopped", tmp_path / "off"
    program = tmp_path / "stop"
    with imds(tags(2, "1h")) as served:
        for works in (True, False):
            program.write_text(f"#!/bin/sh\ntouch {stopped}\nexit {int(not works)}\n")
            program.chmod(0o755)
            arguments = ["--address", where(served), "--kept", tmp_path / "kept"]
            arguments += ["--console", tmp_path / "said", "--stop", program]
            command = [sys.executable, "-I", SCRIPT, *arguments, "touch", off]
            assert subprocess.run(command, capture_output=True, timeout=120).returncode == 0
            assert (stopped.exists(), off.exists()) == (True, not works)


def test_machine_without_tags_stays_on(run_ttl_script):
    with imds(None) as served:
        off, output = run_ttl_script(where(served))
    assert not off
    assert "its tags say nothing" in output


@pytest.mark.parametrize(
    ("text", "length"),
    [
        *[("8h0m0s", 28800), ("1h30m", 5400), ("90m", 5400), ("1.5h", 5400), ("250ms", 0.25)],
        *[("1h1ms", 3600.001), ("-1m", -60), ("+1m", 60), ("0", 0), (".5s", 0.5), ("1µs", 1e-6)],
    ],
)
def test_duration_is_parsed_in_every_notation_of_go(text, length):
    assert ttl.seconds(text) == pytest.approx(length)


@pytest.mark.parametrize("text", ["", "h", "1", "1 h", "1d", "h1", "1h 5m", "--1h", "1h-5m"])
def test_invalid_duration_is_rejected(text):
    with pytest.raises(ValueError, match="is not a duration"):
        ttl.seconds(text)


def test_script_parses_the_durations_and_times_of_tags():
    for length in (timedelta(seconds=1), timedelta(hours=30, minutes=2), timedelta(days=9)):
        assert ttl.seconds(duration(length)) == length.total_seconds()
    for text in ("2026-11-25T01:02:03Z", "2026-11-25T01:02:03.123456Z"):
        assert ttl.moment(text) == not_none(moment(text)).timestamp()
    assert ttl.moment("2026-11-25T02:02:03.5+01:00") == ttl.moment("2026-11-25T01:02:03.500Z")
    assert ttl.moment("2026-11-25T01:02:03.123456789Z") == ttl.moment("2026-11-25T01:02:03.123456")


def test_script_is_parsed_by_python_3_9_and_imports_only_the_stdlib():
    ast.parse(SCRIPT.read_text(), feature_version=(3, 9))
    imported = {
        line.split()[1].split(".")[0]
        for line in SCRIPT.read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported <= sys.stdlib_module_names
