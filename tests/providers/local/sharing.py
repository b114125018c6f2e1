"""Workspaces that share a tree of packages: one attacks it. `python -m ... HOME CACHE`.

It prints the result as JSON, so that a user who cannot run pytest can run it too.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from prism.agent.packages.package_trees import recorded
from prism.templates.model import Template
from prism.workspaces.model import Observed
from tests.attacks.index import Index
from tests.optional import not_none
from tests.providers.local.test_sandbox import run
from tests.providers.local.world import World

ATTACK = """
import ctypes, os, pathlib, shutil, sys
import good, spare
site = pathlib.Path(good.__file__).parent
tree = sys.argv[1]
done = []
def attempt(what, work):
    try:
        work()
    except OSError:
        return
    done.append(what)
attempt("sees the tree", lambda: os.listdir(tree))
attempt("writes into the tree", lambda: open(f"{tree}/owned", "w").close())
attempt("sees the upper layer", lambda: os.listdir(f"{sys.prefix}/upper"))
for path in ("good.py", "spare.py"):
    attempt("links", lambda: os.link(site / path, site / f"linked-{path}"))
    with open(site / f"linked-{path}", "a") as file:
        file.write("owned = 1\\n")
libc = ctypes.CDLL(None, use_errno=True)
venv = sys.prefix.encode()
if not libc.umount2(venv, 2) or not libc.mount(b"/", venv, None, 4096, None):
    done.append("mounts")
with open(site / "good.py", "a") as file:
    file.write("owned = 1\\n")
os.chmod(site / "good.py", 0o777)
os.utime(site / "good.py", (0, 0))
(site / "spare.py").unlink()
shutil.rmtree(site / "packed")
(site / "packed").mkdir()
(site / "packed" / "__init__.py").write_text("owned = 1\\n")
(site / "own.py").write_text("own = 1\\n")
attempt("names an attribute of the overlay's", lambda: os.setxattr(
    site / "own.py", "trusted.overlay.redirect", b"/etc"))
print(done)
"""
SEE = """
import importlib.util, good, packed
print([hasattr(good, "owned"), hasattr(packed, "owned"),
       *(importlib.util.find_spec(it) is not None for it in ("spare", "own"))])
"""
PACKAGES = Template(name="t", packages={"pip": ("good", "spare", "packed")})


def shared(home, cache):
    """The result of the attack."""
    index, before = Index(), dict(os.environ)
    os.environ.update({"UV_DEFAULT_INDEX": f"{index.url}/simple", "NO_PROXY": "127.0.0.1"})
    world = World(home, cache, environ={"PRISM_WORKSPACE_NETWORK": "shared"})
    try:
        for name in ("good", "spare"):
            index.wheel(name, {f"{name}.py": f"{name} = 1\n"})
        index.wheel("packed", {"packed/__init__.py": "", "packed/data": "x" * 2**20})
        return _attack(world)
    finally:
        world.close()
        index.close()
        os.environ.clear()
        os.environ.update(before)


def _attack(world):
    attacker, other = (world.launched(PACKAGES, key=f"ws_{n}") for n in (1, 2))
    tree = world.tree_of(attacker)
    before = summed(tree)
    code, done = run(world, attacker, "python", "-c", ATTACK, str(tree))
    assert code == 0, done
    seen = {"after": _seen(world, attacker, other)}
    for id in (attacker, other):
        world.compute.stop(id)
        world.becomes(id, Observed.OFF)
        world.compute.start(id)
        world.becomes(id, Observed.ON)
    seen["restarted"] = _seen(world, attacker, other)
    seen["new"] = _seen(world, world.launched(PACKAGES, key="ws_3"))
    keys = {not_none(recorded(path))["tree"] for path in world.root.glob("local-*")}
    return seen | {
        "done": done.strip(),
        "untouched": summed(tree) == before,
        "trees": len(keys),
        "own_kib": _size(world.root / other / "venv" / "upper"),
        "sandbox": world.report(other)["sandbox"],
        "owners": sorted({path.lstat().st_uid for path in (world.root / attacker).rglob("*")}),
    }


def _seen(world, *ids):
    return [run(world, id, "python", "-c", SEE)[1].strip() for id in ids]


def _size(folder):
    return int(subprocess.check_output(["du", "-sk", folder]).split()[0])


def summed(tree):
    """What a tree holds, with modes and times."""
    lines = []
    for path in sorted(tree.rglob("*")):
        about = path.lstat()
        text = path.read_bytes() if path.is_file() else b""
        lines.append((str(path), about.st_mode, about.st_mtime_ns, hashlib.sha256(text).digest()))
    return repr(lines)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(shared(Path(sys.argv[1]), Path(sys.argv[2]))))
