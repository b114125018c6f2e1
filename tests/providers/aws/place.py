"""A place on EC2 to try things in: `AwsCompute` over the double, with plain parts around it."""

import gzip
from concurrent.futures import Executor, Future

from prism.errors import Unavailable
from prism.providers.aws.compute.console import Console
from prism.providers.aws.compute.lifecycle import AwsCompute
from prism.providers.aws.compute.readiness import Readiness
from prism.providers.aws.compute.spot_requests import SpotRequests
from prism.providers.aws.compute.survey import InstanceCache
from prism.providers.aws.prerequisites.launch import AwsLaunchPrerequisites
from prism.templates.model import Template
from prism.workspaces.ports import Access, MachineOrder, ServiceEndpoint
from tests.aws_setup import PROPAGATED, set_up

STEPS = ("begin", "packages", "services", "ready", "failed packages", "failed services")
TEMPLATE = Template(name="t", base="ubuntu-22.04")


class AtOnce(Executor):
    """Does what it is given before it returns."""

    def submit(self, task, /, *args, **more):
        done = Future()
        done.set_result(task(*args, **more))
        return done

    def shutdown(self, wait=True, *, cancel_futures=False):
        pass


RUNS_AGAIN = "# bootcmd: rm sem/config_write_files\n"


def script(order, image, kind, key, *, again=False):
    """User data that says what the double makes of it: the markers, and a timer."""
    own = (f"post-install {it}" for it in order.template.post_install)
    lines = [RUNS_AGAIN] * again
    lines += [f"prism-boot: {step}\n" for step in (STEPS[0], *own, *STEPS[1:])]
    return gzip.compress("".join(["# prism:ttl random/boot_id\n", *lines]).encode(), mtime=0)


class Way:
    """Lets everybody in where the machine is on."""

    def __init__(self, book):
        self.book, self.told, self.idles = book, [], {}

    def access(self, id):
        known = self.book.look(id) if id.startswith("i-") else None
        if known is None or known.state != "running":
            raise Unavailable(f"Machine {id} is not on")
        doors = {"page": ServiceEndpoint(url=f"http://{known.public_ip}:80")}
        return Access(host=known.public_ip, user="ubuntu", ssh_port=22, doors=doors)

    def watch(self, id, rule):
        self.told.append((id, rule))

    def spot(self, id, port):
        return None

    def idle(self, id):
        return self.idles.get(id)


class Place:
    """Everything that `AwsCompute` is made of, within reach."""

    def __init__(self, aws, cloud, home, *, probe=None, hands=None, pace=1.0, heard=()):
        self.aws, self.cloud = aws, cloud
        self.book, self.console = InstanceCache(cloud), Console(cloud)
        self.way = Way(self.book)
        self.hands = hands or AtOnce()
        self.readiness = Readiness(
            cloud, Fresh(self.console), probe=probe, hands=self.hands, pace=pace, heard=heard
        )
        self.requests = SpotRequests(cloud, self.book, self.hands)
        self.prerequisites = AwsLaunchPrerequisites(
            cloud, home, "lab", caller=lambda: "203.0.113.7/32"
        )
        self.compute = AwsCompute(
            cloud,
            self.book,
            self.readiness,
            self.requests,
            prerequisites_of=lambda profile: self.prerequisites,
            script=script,
            way=self.way,
        )

    def set_up(self):
        """Make what an administrator makes in the account, once."""
        set_up(self.aws)

    def prepare(self, ports=()):
        """Make what launches stand on, and have EC2 show it to everybody."""
        self.prerequisites.key()
        for _ in range(6):
            try:
                return self.prerequisites.group(ports)
            except Unavailable:
                self.pass_on()
        raise AssertionError("the security group was never shown")

    def pass_on(self):
        """Let so much time pass that EC2 shows everybody what was made or changed."""
        self.aws.clock.advance(PROPAGATED)

    def order(self, **more):
        said = {
            "key": "ws_1",
            "name": "mine",
            "owner": "ada",
            "profile": "lab",
            "template": TEMPLATE,
            "instance_type": "t3.small",
            "root_gb": 20,
            "hibernation": True,
            "launched_at": self.aws.clock.now(),
        }
        return MachineOrder(**said | more)

    def ask(self, **more):
        """Ask for one, once; EC2 shows what it stands on."""
        order = self.order(**more)
        self.prepare(order.template.ports if order.open_ports else ())
        self.pass_on()
        return self.compute.launch(order)

    def launch(self, **more):
        """One that EC2 shows to everybody."""
        made = self.ask(**more)
        self.pass_on()
        return made

    def look(self):
        """The only machine there is, as a survey shows it."""
        [machine] = self.compute.survey()
        return machine

    def on(self, **more):
        """Launch one and wait until it is on."""
        id = self.launch(**more).id
        self.aws.clock.advance(5)
        self.compute.survey()
        return id

    def goes(self, seconds=5):
        """Let time pass and look."""
        self.aws.clock.advance(seconds)
        return self.look()

    def tags(self, id):
        return self.book.look(id).tags

    def calls(self, action=None):
        return [it.action for it in self.aws.calls if action in {None, it.action}]


class Fresh:
    """Consoles whose texts are never kept: time stands still here."""

    def __init__(self, console):
        self.console = console

    def read(self, id, fresh=0.0):
        return self.console.read(id, 0.0)
