"""Carries out one request of the daemon on a lab server, as the user who logged in.

    python -I -S host.py NONCE

Standard input is the request, `LabRequest` as JSON. The answer follows a line with the nonce and
the number of its bytes, so what a login shell prints before it is skipped. Nothing here needs
root, and every request may be repeated.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from prism.agent.lab.facts import facts, identity, registry
from prism.agent.lab.file_session import home_files, serve_files
from prism.agent.lab.lab_machines import LabMachines, Refused
from prism.agent.lab.session import serve_session
from prism.agent.machine.log_reader import MachineLogs
from prism.agent.protocol import LAB_FOLDER

MOST_REQUEST = 8 << 20  # bytes
Fields = dict[str, Any]


def main(argv: list[str]) -> int:
    """Read the request, carry it out, and write the answer."""
    os.umask(0o077)
    nonce, root = argv[1], Path.home() / LAB_FOLDER
    if argv[2:] == ["session"]:
        return serve_session(root / "workspaces", nonce)
    if argv[2:] == ["files"]:
        machines = LabMachines(root)
        return serve_files(nonce, lambda id: home_files(machines.folder(id)))
    request = json.loads(sys.stdin.buffer.read(MOST_REQUEST))
    try:
        answer: Fields = {"answer": _verbs(root)[request["do"]](request)}
    except Refused as refused:
        answer = {"refused": str(refused), "full": refused.full}
    except OSError as error:
        answer = {"failed": f"{type(error).__name__}: {error}"}
    body = json.dumps(answer).encode(errors="replace")
    sys.stdout.buffer.write(f"\n{nonce} {len(body)}\n".encode() + body)
    sys.stdout.buffer.flush()
    return 0


def _verbs(root: Path) -> dict[str, Callable[[Fields], Any]]:
    machines = LabMachines(root)
    logs = MachineLogs(machines.folder)
    return {
        "facts": lambda order: {**facts(root), "time": time.time()},
        "registry": lambda order: registry(root, order["uv"]),
        "survey": lambda order: {
            "time": time.time(),
            "machines": machines.survey(order["remembered"]),
            "identity": identity(),
            "room": machines.room(with_gpus=order.get("with_gpus", False)),
        },
        "launch": lambda order: machines.launch(
            order["id"], order["spec"], order["intent"], order["rule"], order["uv"]
        ),
        "request": lambda order: machines.request(order["id"], order["state"], order["uv"]),
        "expire": lambda order: machines.expire(order["id"], order["at"], order["action"]),
        "watch": lambda order: machines.watch(order["id"], order["rule"]),
        "describe": lambda order: machines.update(order["id"], order["fields"], order["launched"]),
        "reach": lambda order: [machines.reach(order["id"], order["port"])],
        "access": lambda order: [machines.access(order["id"])],
        "tail": lambda order: logs.tail(order["id"], order["log"], order["lines"]),
        "after": lambda order: logs.after(order["id"], order["log"], order["mark"]),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv))
