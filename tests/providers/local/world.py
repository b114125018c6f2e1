"""A home full of local machines, and what a test wants to know of them."""

import json
from pathlib import Path

import psutil

from prism.agent.package_trees import lower_of
from prism.providers.local.compute import LocalCompute
from prism.providers.local.folder import holder
from prism.templates.model import Service, Template
from prism.workspaces.model import Observed
from prism.workspaces.ports import MachineOrder
from tests.processes import named, worded
from tests.waiting import eventually

PAGE = Service(command="python -m http.server {port} --bind 127.0.0.1", port=80, health="/")
JUPYTER = Service(
    command="jupyter lab --no-browser --allow-root --ServerApp.ip=127.0.0.1 "
    "--ServerApp.port={port} --ServerApp.port_retries=0 --ServerApp.allow_remote_access=false",
    port=8888,
    health="/api",
    environment={"JUPYTER_TOKEN": "{token}"},
)
LAB = Template(name="lab", packages={"pip": ("jupyterlab",)}, services={"jupyter": JUPYTER})


def page(**more):
    """A template that installs nothing and serves its home."""
    return Template(name="page", services={"page": PAGE}, **more)


def script(code, health="/", **more):
    """A service that is a Python program of its own."""
    return Service(command=f"python -c '{code}' {{port}}", port=80, health=health, **more)


class World:
    """Machines in one home."""

    def __init__(self, home, cache, **manners):
        self.root, self.cache = home / "workspaces", cache
        self.compute = LocalCompute(self.root, cache, **{"grace": 1} | manners)

    def launch(self, template, key="ws_1", **more):
        """A machine, on its way."""
        return self.compute.launch(self.order(template, key, **more)).id

    def order(self, template, key="ws_1", **more):
        """The order of a machine."""
        order = {"instance_type": "t3.small", "root_gb": 8, "hibernation": True} | more
        return MachineOrder(key=key, name="mine", template=template, **order)

    def launched(self, template, **more):
        """A machine that is on."""
        id = self.launch(template, **more)
        self.becomes(id, Observed.ON)
        return id

    def machine(self, id):
        """The machine as it is surveyed now."""
        [found] = [machine for machine in self.compute.survey() if machine.id == id]
        return found

    def becomes(self, id, seen, seconds=180):
        """Wait until it is that, and give it; wrong at once where it broke on the way."""

        def there():
            machine = self.machine(id)
            assert seen is Observed.BROKEN or machine.seen is not Observed.BROKEN, machine.failure
            return machine if machine.seen is seen else None

        return eventually(there, seconds)

    def tree_of(self, id):
        """The environment of the tree of packages that it shows; none where it has its own."""
        folder = self.root / id
        lower = lower_of(folder, json.loads((folder / "order.json").read_bytes()))
        return Path(lower) if lower else None

    def layers(self, id):
        """The folders that its environment is made of, its own one first."""
        venv, tree = self.root / id / "venv", self.tree_of(id)
        return [venv / "upper", tree] if tree else [venv]

    def installed(self, id, name):
        """The files of this name that were put into its packages."""
        pattern = f"lib/*/site-packages/{name}"
        return [file for layer in self.layers(id) for file in layer.glob(pattern)]

    def supervisor(self, id):
        """The process that looks after it."""
        return psutil.Process(holder(str(self.root / id)))

    def said(self, id):
        """All that its supervisor says."""
        return json.loads((self.root / id / "seen.json").read_bytes())

    def tree(self, id):
        """The processes of the machine, without its supervisor."""
        return self.supervisor(id).children(recursive=True)

    def programs(self, id):
        """The person's own of these: what is not the place itself."""
        return [one for one in self.tree(id) if _home(one) == str(self.root / id / "home")]

    def named(self, id, program):
        """The processes of the machine that run a program of this name."""
        return named(self.tree(id), program)

    def worded(self, id, words):
        """The processes of the machine with these words in their command line."""
        return worded(self.tree(id), words)

    def log(self, id, name):
        """What one of its programs said."""
        return (self.root / id / "logs" / f"{name}.log").read_text()

    def orders(self, id, **changes):
        """Somebody corrects what was ordered."""
        path = self.root / id / "order.json"
        path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))

    def close(self):
        """Destroy everything, and see that it is."""
        for machine in self.compute.survey():
            self.compute.terminate(machine.id)
        eventually(lambda: all(m.seen is Observed.GONE for m in self.compute.survey()), 120)
        eventually(lambda: not self.left(), 120)

    def left(self):
        """Processes that carry the mark of this home, and supervisors."""
        mark = f"{self.root}/"
        return [p for p in psutil.process_iter() if mark in _traces(p)]


def _home(process):
    try:
        return process.environ().get("HOME")
    except psutil.Error:
        return None


def _traces(process):
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return " ".join([process.environ().get("PRISM_MACHINE", "") + "/", *process.cmdline()])
    except psutil.Error:
        return ""
