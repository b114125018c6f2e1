"""Which dependencies of the lock have known vulnerabilities; run by `make audit`.

    audit.py LOCK [ADVISORIES]

Without ADVISORIES, pip-audit asks the package index. With it, pip-audit asks this program,
which answers on loopback from a copy: a folder, or a zip file, of records in OSV's format
(JSON or YAML, one a file), as the advisory databases of PyPA and OSV publish them.

Exits with 0 where nothing is known, 1 where something is, 2 where it could not be asked
for every package: an audit that did not happen is no good news.
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
    """A copy of advisories, by the name of the package."""

    def __init__(self, where: Path) -> None:
        self.by_name: dict[str, list[Record]] = defaultdict(list)
        self.count, self.newest = 0, ""
        for record in map(_parsed, _files(where)):
            names = {
                canonicalize_name(it["package"]["name"])
                for it in record.get("affected", [])
                if it.get("package", {}).get("ecosystem") == "PyPI"
            }
            for name in names:
                self.by_name[name].append(record)
            self.count += bool(names)
            self.newest = max(self.newest, str(record.get("modified", "")))

    def about(self, name: str, version: str) -> list[Record]:
        """Those that a version is affected by; what has been withdrawn is none."""
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


def _parsed(file: tuple[str, bytes]) -> Record:
    name, content = file
    try:
        if name.endswith(".json"):
            found = json.loads(content)
        else:
            import yaml  # noqa: PLC0415  only where the records are YAML, as those of PyPA

            found = yaml.safe_load(content)
    except (ValueError, ImportError) as error:
        raise SystemExit(f"error: cannot read {name}: {error}") from error
    return found if isinstance(found, dict) and "affected" in found else {}


def _affects(record: Record, name: str, version: str) -> bool:
    for it in record["affected"]:
        package = it.get("package", {})
        if package.get("ecosystem") != "PyPI" or canonicalize_name(package["name"]) != name:
            continue
        if version in it.get("versions", []):
            return True
        ranges = [one for one in it.get("ranges", []) if one.get("type") == "ECOSYSTEM"]
        if any(_within(one["events"], Version(version)) for one in ranges):
            return True
    return False


def _within(events: list[dict[str, str]], version: Version) -> bool:
    """Whether a version lies in a range, as OSV's schema defines it."""
    inside = False
    for event in sorted(events, key=_at):
        for kind, said in event.items():
            at = _version(said)
            if kind == "introduced" and version >= at:
                inside = True
            elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
                inside = False
    return inside


def _at(event: dict[str, str]) -> Version:
    return _version(next(iter(event.values())))


def _version(said: str) -> Version:
    try:
        return Version(said)
    except InvalidVersion:
        return Version("0")


def serve(advisories: Advisories) -> ThreadingHTTPServer:
    """Answers, on a port of loopback, as OSV does."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found = advisories.about(asked["package"]["name"], asked["version"])
            body = json.dumps({"vulns": found} if found else {}, default=str).encode()
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
    """What pip-audit says of each package; an empty list where it could not ask at all."""
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
        found: list[Record] = json.loads(out.read_text())["dependencies"]
        return found


def tell(found: list[Record], source: str) -> int:
    """Say what was found; the exit code."""
    bad = [it for it in found if it.get("vulns")]
    unknown = [it for it in found if "skip_reason" in it]
    for it in bad:
        for one in it["vulns"]:
            fixed = ", ".join(one.get("fix_versions", [])) or "nothing yet"
            sys.stdout.write(f"{it['name']} {it['version']}: {one['id']}, fixed in {fixed}\n")
    asked = len(found) - len(unknown)
    sys.stdout.write(f"{asked} packages asked about in {source}, {len(bad)} with advisories\n")
    if unknown or not found:
        names = ", ".join(it["name"] for it in unknown[:5])
        why = f"{len(unknown)} packages are unknown there ({names} …)" if unknown else "no answer"
        sys.stderr.write(f"error: not everything was audited: {why}\n")
        sys.stderr.write(
            "hint: `make audit ADVISORIES=FOLDER` asks a copy of the advisories in OSV's format\n"
        )
    if bad:
        return FOUND
    return NOT_ASKED if unknown or not found else 0


def main(words: list[str]) -> int:
    """Audit a lock."""
    lock, where = words[0], words[1] if len(words) > 1 else ""
    if not where:
        return tell(ask(lock, []), "the package index")
    if not Path(where).exists():
        raise SystemExit(f"error: there is no {where}")
    advisories = Advisories(Path(where))
    if not advisories.count:
        raise SystemExit(f"error: {where} has no advisory about any Python package")
    server = serve(advisories)
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        os.environ["NO_PROXY"] = "127.0.0.1"
        found = ask(lock, ["--vulnerability-service", "osv", "--osv-url", url])
    finally:
        server.shutdown()
        server.server_close()
    source = f"a copy of {advisories.count} advisories, the newest of {advisories.newest[:10]}"
    return tell(found, source)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
