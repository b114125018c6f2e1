"""`make audit`: the advisories for a version in a copy of the database."""

import importlib.util
import json
import zipfile
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).parents[2]


def loaded():
    spec = importlib.util.spec_from_file_location("audit", ROOT / "scripts" / "audit.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


audit = loaded()


def record(name="Demo_Package", events=(), versions=(), **more):
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    package = {"name": name, "ecosystem": "PyPI"}
    affected = {"package": package, "ranges": ranges, "versions": list(versions)}
    return {"id": "X-1", "modified": "2026-01-02T00:00:00Z", "affected": [affected], **more}


def written(folder, *records):
    for number, record in enumerate(records):
        (folder / f"{number}.json").write_text(json.dumps(record))
    return audit.Advisories(folder)


TO_2 = [{"introduced": "0"}, {"fixed": "2.0"}]


@pytest.mark.parametrize(
    ("known", "version", "hit"),
    [
        (record(events=TO_2), "1.9.9", True),
        (record(events=TO_2), "2.0", False),
        (record(events=TO_2), "2.0rc1", True),
        (record(events=TO_2), "10.0", False),
        (record(events=[{"introduced": "1.5"}, {"last_affected": "1.7"}]), "1.7", True),
        (record(events=[{"introduced": "1.5"}, {"last_affected": "1.7"}]), "1.7.1", False),
        (record(events=[{"introduced": "1.5"}]), "1.4", False),
        (record(events=[*TO_2, {"introduced": "3"}, {"fixed": "3.1"}]), "3.0.5", True),
        (record(events=[*TO_2, {"introduced": "3"}, {"fixed": "3.1"}]), "2.5", False),
        (record(versions=["1.2"]), "1.2", True),
        (record(versions=["1.2"]), "1.3", False),
        (record(events=TO_2, withdrawn="2026-01-03T00:00:00Z"), "1.0", False),
        (record("another", events=TO_2), "1.0", False),
    ],
)
def test_advisory_affects_the_versions_in_its_ranges(tmp_path, known, version, hit):
    advisories = written(tmp_path, known).about("demo.package", version)
    assert [advisory["id"] for advisory in advisories] == (["X-1"] if hit else [])


def test_advisories_are_read_from_yaml_files_or_a_zip(tmp_path):
    folder = tmp_path / "db"
    folder.mkdir()
    (folder / "one.yaml").write_text(json.dumps(record(events=TO_2)))
    (folder / "README.md").write_text("not a record")
    assert audit.Advisories(folder).count == 1
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("one.json", json.dumps(record(events=TO_2)))
    copy = audit.Advisories(tmp_path / "all.zip")
    assert (copy.count, copy.newest[:10]) == (1, "2026-01-02")


def test_served_copy_answers_as_osv_does(tmp_path):
    server = audit.serve(written(tmp_path, record(events=TO_2)))
    try:
        for version, ids in (("1.0", ["X-1"]), ("3.0", [])):
            body = json.dumps({"package": {"name": "demo-package"}, "version": version}).encode()
            url = f"http://127.0.0.1:{server.server_address[1]}/v1/query"
            with urlopen(Request(url, body)) as answer:
                reply = json.loads(answer.read())
            assert [vuln["id"] for vuln in reply.get("vulns", [])] == ids
    finally:
        server.shutdown()
        server.server_close()


def test_report_fails_for_vulnerable_or_skipped_packages(capsys):
    good = {"name": "a", "version": "1", "vulns": []}
    bad = good | {"vulns": [{"id": "X-1", "fix_versions": ["2"]}]}
    assert audit.report([good], "a copy") == 0
    assert audit.report([good, bad], "a copy") == audit.FOUND
    assert "a 1: X-1, fixed in 2" in capsys.readouterr().out
    assert audit.report([good, {"name": "b", "skip_reason": "not found"}], "x") == audit.NOT_ASKED
    assert audit.report([], "x") == audit.NOT_ASKED
    assert "error: not everything was audited" in capsys.readouterr().err


def test_audit_tool_is_locked_by_hashes_and_without_urls():
    text = (ROOT / "audit.lock").read_text()
    assert "pip-audit==" in text
    assert "--hash=sha256:" in text
    assert "://" not in text
