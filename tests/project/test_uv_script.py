"""`scripts/uv.py`: uv without pip, from an index that a test serves."""

import base64
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.project.tree import ROOT

MANY = "uv-1.2-py3-none-manylinux_2_17_{0}.manylinux2014_{0}.whl"
OTHERS = (MANY.format("armv7l"), "uv-1.2.tar.gz", "uv-1.1-py3-none-manylinux_2_17_x86_64.whl")
LOGIN = base64.b64encode(b"ada:p@ss").decode()


def wheel():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("uv-1.2.data/scripts/uv", "#!/bin/sh\necho installed\n")
    return file.getvalue()


WHEEL = wheel()


class Index(BaseHTTPRequestHandler):
    """An index that wants a password."""

    def do_GET(self):
        if self.headers["Authorization"] != f"Basic {LOGIN}":
            return self.send_error(401)
        self.send_response(200)
        self.end_headers()
        if not self.path.endswith("/"):
            return self.wfile.write(WHEEL)
        names = [*OTHERS, MANY.format("x86_64"), MANY.format("aarch64")]
        links = [f'<a href="../../files/{name}#sha256=0" class="f">{name}</a>' for name in names]
        return self.wfile.write("<br/>\n".join(links).encode())

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def index():
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://ada:p%40ss@127.0.0.1:{server.server_port}/simple"
        server.shutdown()


def install(tmp_path, index, content=WHEEL):
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "uv.txt").write_text(f"uv==1.2 \\\n    --hash=sha256:{digest}\n")
    argv = [sys.executable, ROOT / "scripts/uv.py", tmp_path / "uv.txt", tmp_path / "bin" / "uv"]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("UV_", "PIP_"))}
    environ = clean | {"PIP_INDEX_URL": index, "no_proxy": "*"}
    return subprocess.run(argv, env=environ, capture_output=True, text=True)


def test_uv_is_installed_from_the_index_of_pip(tmp_path, index):
    done = install(tmp_path, index)
    assert (done.returncode, done.stderr) == (0, "")
    assert subprocess.check_output([tmp_path / "bin" / "uv"], text=True) == "installed\n"


def test_file_with_another_hash_is_refused(tmp_path, index):
    done = install(tmp_path, index, b"other")
    assert (done.returncode, "is not the file" in done.stderr) == (1, True)
    assert not (tmp_path / "bin" / "uv").exists()


def test_unreachable_index_is_named_without_its_password(tmp_path, index):
    done = install(tmp_path, index.replace("p%40ss", "wrong"))
    assert done.returncode == 1
    assert "uv was not installed from 127.0.0.1: HTTP Error 401" in done.stderr
    assert "apt-get install python3-venv" in done.stderr
    assert "wrong" not in done.stderr
