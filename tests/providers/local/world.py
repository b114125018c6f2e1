"""A home with local machines, and methods to inspect them."""

import json
from pathlib import Path
from typing import Any

import psutil
from msgspec.structs import replace

from prism.agent.packages.package_trees import lower_of
from prism.agent.protocol import supervisor_pid
from prism.providers.local.compute import LocalCompute
from prism.templates.model import Service, Template
from prism.workspaces.model import Observed
from prism.workspaces.ports import Machine, MachineSpec
from tests.processes import with_name, with_words
from tests.waiting import eventually

# Python's own web server takes three times as long to start.
SERVE = """import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    with server.accept()[0] as client:
        client.settimeout(5)
        try:
            client.recv(65536)
            client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
        except OSError:
            pass
"""
PAGE = Service(command=f"python -S -c '{SERVE}' {{port}}", port=80, health="/")
JUPYTER = Service(
    command="jupyter lab --no-browser --allow-root --ServerApp.ip=127.0.0.1 "
    "--ServerApp.port={port} --ServerApp.port_retries=0 --ServerApp.allow_remote_access=false",
    port=8888,
    health="/api",
    environment={"JUPYTER_TOKEN": "{token}"},
)
LAB = Template(name="lab", packages={"pip": ("jupyterlab",)}, services={"jupyter": JUPYTER})


def page(**more: Any) -> Template:
    """A template that installs nothing and answers each request."""
    return Template(name="page", services={"page": PAGE}, **more)


def script(code: str, health: str = "/", **more: Any) -> Service:
    """A service that is a Python program of its own."""
    return Service(command=f"python -c '{code}' {{port}}", port=80, health=health, **more)


class World:
    """Machines in one home."""

    def __init__(self, home: Path, cache: Path, **options: Any) -> None:
        self.root, self.cache = home / "workspaces", cache
        self.compute = LocalCompute(self.root, cache, **{"grace": 1} | options)

    def launch(self, template: Template, key: str = "ws_1", **more: Any) -> str:
        """Launch a machine without waiting for it."""
        return self.compute.launch(self.spec(template, key, **more)).id

    def spec(self, template: Template, key: str = "ws_1", **more: Any) -> MachineSpec:
        """The spec of a machine."""
        spec = MachineSpec(
            key=key,
            name="mine",
            template=template,
            instance_type="t3.small",
            root_gb=8,
            hibernation=True,
        )
        return replace(spec, **more)

    def launched(self, template: Template, **more: Any) -> str:
        """A machine that is on."""
        id = self.launch(template, **more)
        self.becomes(id, Observed.ON)
        return id

    def machine(self, id: str) -> Machine:
        """The machine as it is surveyed now."""
        [machine] = [machine for machine in self.compute.survey() if machine.id == id]
        return machine

    def becomes(self, id: str, seen: Observed, seconds: float = 180) -> Machine:
        """Wait until it is that, and give it; wrong at once where it broke on the way."""

        def there() -> Machine | None:
            machine = self.machine(id)
            assert seen is Observed.BROKEN or machine.observed is not Observed.BROKEN, (
                machine.failure
            )
            return machine if machine.observed is seen else None

        return eventually(there, seconds)

    def tree_of(self, id: str) -> Path | None:
        """The environment of the tree of packages that it shows; none where it has its own."""
        folder = self.root / id
        lower = lower_of(folder, json.loads((folder / "order.json").read_bytes()))
        return Path(lower) if lower else None

    def layers(self, id: str) -> list[Path]:
        """The folders that its environment is made of, its own one first."""
        venv, tree = self.root / id / "venv", self.tree_of(id)
        return [venv / "upper", tree] if tree else [venv]

    def installed(self, id: str, name: str) -> list[Path]:
        """The files of this name that were put into its packages."""
        pattern = f"lib/*/site-packages/{name}"
        return [file for layer in self.layers(id) for file in layer.glob(pattern)]

    def supervisor(self, id: str) -> psutil.Process:
        """The supervisor process of a machine."""
        return psutil.Process(supervisor_pid(str(self.root / id)))

    def report(self, id: str) -> Any:
        """The report of its supervisor."""
        return json.loads((self.root / id / "seen.json").read_bytes())

    def tree(self, id: str) -> list[psutil.Process]:
        """The processes of the machine, without its supervisor."""
        return self.supervisor(id).children(recursive=True)

    def programs(self, id: str) -> list[psutil.Process]:
        """The user's programs among these, without those of the sandbox itself."""
        return [node for node in self.tree(id) if _home(node) == str(self.root / id / "home")]

    def named(self, id: str, program: str) -> list[psutil.Process]:
        """The processes of the machine that run a program of this name."""
        return with_name(self.tree(id), program)

    def worded(self, id: str, words: str) -> list[psutil.Process]:
        """The processes of the machine with these words in their command line."""
        return with_words(self.tree(id), words)

    def log(self, id: str, name: str) -> str:
        """The output of one of its programs."""
        return (self.root / id / "logs" / f"{name}.log").read_text()

    def change_spec(self, id: str, **changes: object) -> None:
        """Change the spec of a machine in its file."""
        path = self.root / id / "order.json"
        path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))

    def close(self) -> None:
        """Terminate every machine, and wait until none is left."""
        for machine in self.compute.survey():
            self.compute.terminate(machine.id)
        eventually(lambda: all(m.observed is Observed.GONE for m in self.compute.survey()), 120)
        eventually(lambda: not self.left(), 120)

    def left(self) -> list[psutil.Process]:
        """Processes with the mark of this home, and supervisors."""
        mark = f"{self.root}/"
        return [p for p in psutil.process_iter() if mark in _traces(p)]


def _home(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("HOME")
    except psutil.Error:
        return None


def _traces(process: psutil.Process) -> str:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return " ".join([process.environ().get("PRISM_MACHINE", "") + "/", *process.cmdline()])
    except psutil.Error:
        return ""
