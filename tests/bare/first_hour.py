"""What somebody does in the first hour, as a program: install Prism, and use a workspace.

It runs with the standard library alone, by any user, in the environment that `stage.py` made. It
prints what it saw as one JSON object.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

HOME = Path(os.environ.get("HOME", "/"))
MATERIAL = Path(os.environ.get("TEST_MATERIAL", ""))  # the wheel, the source, uv
CACHE = os.environ.get("TEST_CACHE", "")
PYTHON = os.environ.get("TEST_PYTHON", "")
SECONDS = 1500
NOTHING: Mapping[str, str] = MappingProxyType({})
CACHED = {"UV_CACHE_DIR": f"{CACHE}/uv"}
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/lab\?token=\S+")


def run(*argv: str | Path, cwd: Path = HOME, variables: Mapping[str, str] = NOTHING) -> str:
    """The output of a program that must succeed."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("TEST_")}
    done = subprocess.run(
        [*map(str, argv)],
        cwd=cwd,
        env={**own, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS,
        check=False,
    )
    sys.stderr.write(f"$ {' '.join(map(str, argv))}\n{done.stdout}{done.stderr}")
    if done.returncode:
        raise SystemExit(f"{argv[0]} ended with {done.returncode}")
    return done.stdout


def by_wheel() -> tuple[Path, str]:
    """Install the wheel as a tool, and launch; the path of `prism`, and the address."""
    [wheel] = MATERIAL.glob("*.whl")
    words = ("tool", "install", "--python", PYTHON, "--constraints", MATERIAL / "constraints.txt")
    run(MATERIAL / "uv", *words, wheel, variables=CACHED)
    prism = HOME / ".local/bin/prism"
    return prism, run(prism, "quickstart")


def by_source(*, with_uv: bool) -> tuple[Path, str]:
    """Unpack the source, and run the first command of the README."""
    source = HOME / "prism"
    source.mkdir()
    words = ("--extract", "--no-same-permissions", "--no-same-owner", "--file")
    run("tar", *words, MATERIAL / "source.tar", cwd=source)
    if not with_uv:
        return source / ".venv/bin/prism", run("make", "quickstart", cwd=source)
    (source / ".tools/bin").mkdir(parents=True)
    shutil.copy(MATERIAL / "uv", source / ".tools/bin/uv")
    os.utime(source / ".tools/bin/uv")
    address = run("make", "quickstart", f"PYTHON={PYTHON}", cwd=source, variables=CACHED)
    return source / ".venv/bin/prism", address


def use(prism: Path) -> dict[str, object]:
    """Use the workspace until it is terminated; what was seen."""
    database = HOME / ".prism/state.db"
    script = f"id -u; echo kept > kept; cat '{database}' >/dev/null 2>&1; echo $?"
    user, denied = run(prism, "exec", "quickstart", "--", "sh", "-c", script).split()
    states = []
    for verb in ("hibernate", "resume"):
        run(prism, verb, "quickstart")
        states.append(json.loads(run(prism, "show", "quickstart", "--json"))["state"])
    file = run(prism, "exec", "quickstart", "--", "cat", "kept").strip()
    run(prism, "terminate", "quickstart", "--yes")
    return {"user": int(user), "database": denied == "0", "states": states, "file": file}


def main(installation: str) -> int:
    """All of it; the exit code. `installation` is `wheel`, `source`, or `bare`: without uv."""
    is_wheel = installation == "wheel"
    prism, output = by_wheel() if is_wheel else by_source(with_uv=installation == "source")
    try:
        address = output.splitlines()[-1]
        with urllib.request.urlopen(address, timeout=60) as answer:
            page = answer.read().decode()
        first = {"address": bool(ADDRESS.fullmatch(address)), "lab": "JupyterLab" in page}
        programs = ("bwrap", "pasta", "node", "npm", "psql", "ip", "apt-get", "sudo")
        seen = first | {"programs": [*filter(shutil.which, programs)]} | use(prism)
        if installation == "bare":
            seen["gui"] = (HOME / "prism/src/prism/web/site.json").exists()
            seen["sandbox"] = shutil.which("bwrap") is not None
    finally:
        with contextlib.suppress(SystemExit):
            run(prism, "daemon", "stop")
    sys.stdout.write(json.dumps(seen) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
