"""Replaces files of this computer's `/etc` while workspaces run, and looks what they see of them.

    python -m tests.attacks.replacing HOME CACHE     in a mount namespace with an `/etc` of its own

The `/etc` belongs to the user who runs this. It prints the findings as one JSON object.
"""

import json
import shutil
import sys
from pathlib import Path

from tests.providers.local.test_sandbox import run
from tests.providers.local.world import World, page
from tests.waiting import eventually

ETC = Path("/etc")
SECRETS = ("shadow", "shadow-", "gshadow", "gshadow-", "sudoers")
ACCOUNTS = ("passwd", "group")
FOLDERS = ("ssh", "ssl/private", "sudoers.d")
LOOK = f"""
cd /etc
cat {" ".join(SECRETS)} 2>/dev/null
for folder in {" ".join(FOLDERS)}; do ls -A $folder; cat $folder/* 2>/dev/null; done
"""


def main(home, cache):
    """Replace each file and folder, and look from a workspace before and after another starts."""
    for name in FOLDERS:
        (ETC / name).mkdir(parents=True, exist_ok=True)
    for name in SECRETS:
        (ETC / name).unlink(missing_ok=True)  # nobody may write the one that sudo brings
        (ETC / name).write_text("secret of before\n")
        (ETC / name).chmod(0o644)
    world = World(Path(home), Path(cache))
    try:
        first = world.launched(page())
        findings = {"before": look(world, first), "accounts": accounts(world, first)}
        for name in ACCOUNTS:
            replace(name, "intruder:x:0:0::/:/bin/sh\n")
        for name in SECRETS:
            replace(name, "secret of after\n")
        for name in FOLDERS:
            shutil.rmtree(ETC / name)
            (ETC / name).mkdir()
            (ETC / name / "key").write_text("secret of after\n")
        (ETC / "tool.conf").write_text("tool")
        findings |= {"after": look(world, first), "kept": accounts(world, first)}
        replace("hosts", "192.0.2.9 new-name\n")
        eventually(lambda: "new-name" in text(world, first, "hosts"))
        second = world.launched(page(), key="ws_2")
        findings["refreshed"] = [look(world, machine) for machine in (first, second)]
        findings["new"] = [text(world, machine, "tool.conf") for machine in (first, second)]
        findings["known"] = accounts(world, first)
    finally:
        world.close()
    sys.stdout.write(json.dumps(findings) + "\n")


def replace(name, content):
    """Replace a file as `useradd`, `passwd` and editors do: by another one."""
    draft = ETC / f"{name}.draft"
    draft.write_text(content)
    draft.chmod(0o644)
    draft.rename(ETC / name)


def look(world, machine):
    """What a workspace sees of secrets."""
    lines = run(world, machine, "sh", "-c", LOOK)[1].splitlines()
    return [line for line in lines if "secret" in line or "key" in line]


def accounts(world, machine):
    """The name of its user, and whether there is a new one, as a workspace sees it."""
    has_new = "intruder" in text(world, machine, "passwd") + text(world, machine, "group")
    return [run(world, machine, "id", "-un")[1].strip(), has_new]


def text(world, machine, name):
    """The content of a file in a workspace's `/etc`."""
    return run(world, machine, "cat", f"/etc/{name}")[1]


if __name__ == "__main__":
    main(*sys.argv[1:])
