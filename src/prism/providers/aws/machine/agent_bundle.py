"""Packs the idle daemon from the agent's sources into one file, with scripts to install it.

The agent is never imported here: it runs on the machine's own Python, which may be 3.9.
"""

import ast
import hashlib
import io
import shlex
import zipfile
from functools import cache
from pathlib import Path

from msgspec import Struct

from prism.providers.aws.machine.cloudinit.units import LIBRARY, SECRETS, UNITS
from prism.providers.aws.ssh.pool import AS_ROOT

AGENT_FOLDER = Path(__file__).parents[3] / "agent"
PACKAGE = "prism.agent"
ENTRY = "ec2.idle_daemon"
STATE = "/var/lib/prism/idle"
LATER = "from __future__ import annotations\n"  # old Pythons lack some names of types
MAIN = f"""\
import socket
import sys

from {PACKAGE}.idle import jupyter
from {PACKAGE}.{ENTRY} import main

if sys.version_info < (3, 10):  # there a socket's patience ends by another name
    jupyter.TimeoutError = socket.timeout
main()
"""


class Layout(Struct, frozen=True, kw_only=True):
    """Paths on a machine; only tests have others."""

    library: str = LIBRARY
    state: str = STATE
    units: str = UNITS
    etc: str = SECRETS
    python: str = "/usr/bin/python3"
    arguments: tuple[str, ...] = ()


class AgentBundle(Struct, frozen=True):
    """The bundle, and the identifier of its build."""

    data: bytes
    build: str


@cache
def bundle() -> AgentBundle:
    """The idle daemon with all modules that it imports; the same from the same sources."""
    files = {"prism/__init__.py": "", "__main__.py": MAIN}
    modules = _imported_modules(ENTRY)
    packages = {f"{folder}.__init__" for name in modules for folder in name.split(".")[:-1]}
    for name in ("__init__", *packages, *modules):
        files[f"prism/agent/{_path(name)}"] = _with_lazy_annotations(_source(name))
    sources = "".join(f"{path}\n{text}\n" for path, text in sorted(files.items()))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(files):
            info = zipfile.ZipInfo(path)
            info.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(info, files[path])
    # The hash of the sources: their compressed bytes differ between computers.
    return AgentBundle(out.getvalue(), hashlib.sha256(sources.encode()).hexdigest()[:16])


def rule_script(layout: Layout, rule: bytes) -> str:
    """A script that writes the rule; its exit code is 7 if this build is not installed."""
    return AS_ROOT + _script(
        _INSTALLED.format(build=bundle().build, **_quoted_paths(layout))
        + _RULE.format(rule=shlex.quote(rule.decode()), **_quoted_paths(layout))
    )


def install_script(layout: Layout, rule: bytes | None = None) -> str:
    """A script that writes the rule, installs the file from its input, and starts the daemon."""
    unit = shlex.quote(unit_of(layout))
    text = _SHIP.format(unit=unit, build=bundle().build, **_quoted_paths(layout))
    if rule is not None:
        text = _RULE.format(rule=shlex.quote(rule.decode()), **_quoted_paths(layout)) + text
    return AS_ROOT + _script(text)


def unit_of(layout: Layout) -> str:
    """The systemd unit."""
    words = [layout.state, "--build", bundle().build, "--etc", layout.etc, *layout.arguments]
    return f"""\
[Unit]
Description=Watches this workspace for idleness

[Service]
ExecStart={layout.python} -I {layout.library}/idle.pyz {shlex.join(words)}
Nice=5
Restart=always
RestartSec=10

[Install]
WantedBy=multi-user.target
"""


def _script(body: str) -> str:
    return f"as_root sh -c {shlex.quote(_HEAD + body)}\n"


_HEAD = "set -e; umask 022\n"
_INSTALLED = """\
[ "$(cat {library}/idle.build 2>/dev/null)" = {build} ] || exit 7
"""
_RULE = """\
mkdir -p {state}
printf %s {rule} >{state}/idle.json.new
mv {state}/idle.json.new {state}/idle.json
"""
_SHIP = """\
mkdir -p {library} {state} {units}
cat >{library}/idle.pyz.new
mv {library}/idle.pyz.new {library}/idle.pyz
printf %s {unit} >{units}/prism-idle.service
systemctl daemon-reload
systemctl enable prism-idle.service
systemctl restart prism-idle.service
echo {build} >{library}/idle.build
"""


def _quoted_paths(layout: Layout) -> dict[str, str]:
    names = ("library", "state", "units")
    return {name: shlex.quote(str(getattr(layout, name))) for name in names}


def _source(name: str) -> str:
    return (AGENT_FOLDER / _path(name)).read_text(encoding="utf-8")


def _path(name: str) -> str:
    return f"{name.replace('.', '/')}.py"


def _imported_modules(entry: str) -> list[str]:
    """The agent's modules that a module imports, directly or not, including itself."""
    modules, queue = set[str](), [entry]
    while queue:
        name = queue.pop()
        if name in modules:
            continue
        modules.add(name)
        for node in ast.walk(ast.parse(_source(name))):
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{PACKAGE}."):
                source = f"{node.module}.".removeprefix(f"{PACKAGE}.")
                inside = [f"{source}{alias.name}" for alias in node.names]
                files = [name for name in inside if (AGENT_FOLDER / _path(name)).is_file()]
                queue += files or [source.rstrip(".")]
    return sorted(modules)


def _with_lazy_annotations(text: str) -> str:
    """The source with annotations that are not evaluated: an old Python could not."""
    if LATER in text:
        return text
    doc = ast.parse(text).body[0]
    lines = text.splitlines(keepends=True)
    end = doc.end_lineno or 0
    return "".join([*lines[:end], LATER, *lines[end:]])
