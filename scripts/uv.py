"""Installs uv from the package index without pip: `uv.py REQUIREMENT TARGET`.

REQUIREMENT is a file with one pinned requirement and its hashes, as in `requirements.lock`. The
index is `UV_DEFAULT_INDEX`, `UV_INDEX_URL` or `PIP_INDEX_URL`, else PyPI. Nothing but the standard
library is needed.
"""

import base64
import hashlib
import html
import io
import os
import platform
import re
import sys
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
PYPI = "https://pypi.org/simple"
TIMEOUT_SECONDS = 60
LINK = re.compile(r"""<a\s[^>]*href=["']([^"']+)["'][^>]*>([^<]+)</a>""", re.I)


def main(requirement: str, target: str) -> int:
    """Install it; the exit code."""
    text = Path(requirement).read_text()
    version, hashes = (
        text.split("==")[1].split()[0],
        set(re.findall(r"sha256:([0-9a-f]{64})", text)),
    )
    index = next(filter(None, map(os.environ.get, VARIABLES)), PYPI)
    try:
        listing = f"{index.rstrip('/')}/uv/"
        anchors = LINK.findall(fetch(listing).decode())
        links = {name.strip(): urljoin(listing, html.unescape(to)) for to, name in anchors}
        name = wheel_for(version, links)
        sys.stdout.write(f"Downloading {name}\n")
        content = fetch(links[name])
    except (OSError, LookupError) as error:
        host = urlsplit(index).hostname
        sys.stderr.write(
            f"error: uv was not installed from {host}: {error}\n"
            "hint: pip can install it, too: sudo apt-get install python3-venv\n"
        )
        return 1
    if hashlib.sha256(content).hexdigest() not in hashes:
        sys.stderr.write(f"error: {name} is not the file that requirements.lock names\n")
        return 1
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        program = wheel.read(f"uv-{version}.data/scripts/uv")
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_bytes(program)
    Path(target).chmod(0o755)
    return 0


def wheel_for(version: str, names: dict[str, str]) -> str:
    """The wheel for this system; raises `LookupError` if there is none."""
    system = "macosx" if sys.platform == "darwin" else "manylinux"
    if sys.platform == "linux" and platform.libc_ver()[0] != "glibc":
        system = "musllinux"
    machine = platform.machine()
    wheels = (name for name in sorted(names) if name.startswith(f"uv-{version}-"))
    for name in wheels:
        if name.endswith(".whl") and system in name and machine in name:
            return name
    raise LookupError(f"it has no uv {version} for {system} on {machine}")


def fetch(url: str) -> bytes:
    """The content at an address, which may contain a user and a password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host, fragment="")))
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        content: bytes = answer.read()
    return content


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
