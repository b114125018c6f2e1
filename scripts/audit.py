"""Which dependencies of the lock have known vulnerabilities; run by `make audit`.

    audit.py LOCK [ADVISORIES]

Without ADVISORIES, pip-audit asks the package index. With it, pip-audit asks this program,
which answers on loopback from a copy: a folder, or a zip file, of records in OSV's format
(JSON or YAML, one a file), as the advisory databases of PyPA and OSV publish them.

Exits with 0 if there is no advisory, 1 if there is one, and 2 if not every package could be
checked.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

FOUND, NOT_ASKED = 1, 2
ENDINGS = (".json", ".yaml", ".yml")
Record = dict[str, Any]


class Advisories:
    """A copy of advisories, by package."""

    def __init__(self, where: Path) -> None:
        self.by_name: dict[str, list[Record]] = defaultdict(list)
        self.count, self.newest = 0, ""
        for record in map(_parse, _files(where)):
            names = {
                canonicalize_name(affected["package"]["name"])
                for affected in record.get("affected", [])
                if affected.get("package", {}).get("ecosystem") == "PyPI"
            }
            for name in names:
                self.by_name[name].append(record)
            self.count += bool(names)
            self.newest = max(self.newest, str(record.get("modified", "")))

    def about(self, name: str, version: str) -> list[Record]:
        """The advisories that affect a version, without withdrawn ones."""
        return [
            record
            for record in self.by_name.get(canonicalize_name(name), [])
            if not record.get("withdrawn") and _affects(record, canonicalize_name(name), version)
        ]


def _files(where: Path) -> Iterator[tuple[str, bytes]]:
    if is_zipfile(where):
        with ZipFile(where) as archive:
            for name in archive.namelist():
                if name.endswith(ENDINGS):
                    yield name, archive.read(name)
        return
    for path in sorted(where.rglob("*")):
        if path.is_file() and path.name.endswith(ENDINGS):
            yield str(path), path.read_bytes()


def _parse(file: tuple[str, bytes]) -> Record:
    name, content = file
    try:
        if name.endswith(".json"):
            record = json.loads(content)
        else:
            import yaml  # noqa: PLC0415  only where the records are YAML, as those of PyPA

            record = yaml.safe_load(content)
    except (ValueError, ImportError) as error:
        raise SystemExit(f"error: cannot read {name}: {error}") from error
    return record if isinstance(record, dict) and "affected" in record else {}


def _affects(record: Record, name: str, version: str) -> bool:
    for affected in record["affected"]:
        package = affected.get("package", {})
        if package.get("ecosystem") != "PyPI" or canonicalize_name(package["name"]) != name:
            continue
        if version in affected.get("versions", []):
            return True
        ranges = [span for span in affected.get("ranges", []) if span.get("type") == "ECOSYSTEM"]
        if any(_within(span["events"], Version(version)) for span in ranges):
            return True
    return False


def _within(events: list[dict[str, str]], version: Version) -> bool:
    """Whether a version lies in a range, as OSV's schema defines it."""
    inside = False
    for event in sorted(events, key=_version_of):
        for kind, text in event.items():
            at = _version(text)
            if kind == "introduced" and version >= at:
                inside = True
            elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
                inside = False
    return inside


def _version_of(event: dict[str, str]) -> Version:
    return _version(next(iter(event.values())))


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0")


def serve(advisories: Advisories) -> ThreadingHTTPServer:
    """Answers, on a port of loopback, as OSV does."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["content-length"])))
            vulns = advisories.about(query["package"]["name"], query["version"])
            body = json.dumps({"vulns": vulns} if vulns else {}, default=str).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def ask(lock: str, more: list[str]) -> list[Record]:
    """What pip-audit reports for each package; an empty list if it failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "found.json")
        tool = Path(sys.executable).with_name("pip-audit")
        command = [str(tool), "--disable-pip", "--require-hashes", "--requirement", lock]
        command += ["--format", "json", "--output", str(out), "--progress-spinner", "off"]
        command += ["--cache-dir", str(Path(folder, "cache")), *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not out.exists() or not out.read_text():
            sys.stderr.write(done.stderr)
            return []
        dependencies: list[Record] = json.loads(out.read_text())["dependencies"]
        return dependencies


def report(dependencies: list[Record], source: str) -> int:
    """Print the advisories; returns the exit code."""
    bad = [package for package in dependencies if package.get("vulns")]
    unknown = [package for package in dependencies if "skip_reason" in package]
    for package in bad:
        release = f"{package['name']} {package['version']}"
        for vuln in package["vulns"]:
            fixed = ", ".join(vuln.get("fix_versions", [])) or "nothing yet"
            sys.stdout.write(f"{release}: {vuln['id']}, fixed in {fixed}\n")
    audited = len(dependencies) - len(unknown)
    sys.stdout.write(f"{audited} packages asked about in {source}, {len(bad)} with advisories\n")
    if unknown or not dependencies:
        names = ", ".join(package["name"] for package in unknown[:5])
        why = f"{len(unknown)} packages are unknown there ({names} …)" if unknown else "no answer"
        sys.stderr.write(f"error: not everything was audited: {why}\n")
        sys.stderr.write(
            "hint: `make audit ADVISORIES=FOLDER` asks a copy of the advisories in OSV's format\n"
        )
    if bad:
        return FOUND
    return NOT_ASKED if unknown or not dependencies else 0


def main(words: list[str]) -> int:
    """Audit a lock."""
    lock, where = words[0], words[1] if len(words) > 1 else ""
    if not where:
        return report(ask(lock, []), "the package index")
    if not Path(where).exists():
        raise SystemExit(f"error: there is no {where}")
    advisories = Advisories(Path(where))
    if not advisories.count:
        raise SystemExit(f"error: {where} has no advisory about any Python package")
    server = serve(advisories)
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        os.environ["NO_PROXY"] = "127.0.0.1"
        dependencies = ask(lock, ["--vulnerability-service", "osv", "--osv-url", url])
    finally:
        server.shutdown()
        server.server_close()
    source = f"a copy of {advisories.count} advisories, the newest of {advisories.newest[:10]}"
    return report(dependencies, source)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
