"""Packs the idle daemon from the agent's sources into one file, with scripts to install it.

The agent is never imported here: it runs on the machine's own Python, which may be 3.9.
"""

import hashlib
import io
import shlex
import zipfile
from functools import cache

from msgspec import Struct

from prism.providers.agent_sources import PACKAGE, agent_sources
from prism.providers.aws.machine.cloudinit.units import LIBRARY, SECRETS, UNITS
from prism.providers.aws.ssh.pool import AS_ROOT

ENTRY = "ec2.idle_daemon"
STATE = "/var/lib/prism/idle"
MAIN = f"""\
from {PACKAGE}.{ENTRY} import main

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
    files = {"__main__.py": MAIN, **agent_sources(ENTRY)}
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
