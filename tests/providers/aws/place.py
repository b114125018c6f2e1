"""`AwsCompute` over the double of AWS, with simple parts around it."""

import gzip
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from aws_double.double import AwsDouble
from prism.errors import Unavailable
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.compute.console import Console
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.compute.lifecycle import AwsCompute
from prism.providers.aws.compute.readiness import Readiness
from prism.providers.aws.compute.spot_requests import SpotRequests
from prism.providers.aws.compute.survey import InstanceCache
from prism.providers.aws.prerequisites.images import ImageChoice
from prism.providers.aws.prerequisites.keys import KeyPair
from prism.providers.aws.prerequisites.launch import AwsLaunchPrerequisites
from prism.templates.model import Template
from prism.workspaces.idleness import Idleness, IdleRule
from prism.workspaces.ports import Access, Machine, MachineSpec, ServiceEndpoint
from tests.aws_setup import PROPAGATED, set_up
from tests.optional import not_none

STEPS = ("begin", "packages", "services", "ready", "failed packages", "failed services")
TEMPLATE = Template(name="t", base="ubuntu-22.04")


class ImmediateExecutor(Executor):
    """Runs a task before `submit` returns."""

    def submit(self, task: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:
        done = Future[Any]()
        done.set_result(task(*args, **more))
        return done

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        pass


RUNS_AGAIN = "# bootcmd: rm sem/config_write_files\n"


def script(
    spec: MachineSpec,
    image: ImageChoice,
    key: KeyPair,
    *,
    again: bool = False,
) -> bytes:
    """User data with what the double evaluates: the boot markers and a timer."""
    own = (f"post-install {command}" for command in spec.template.post_install)
    lines = [RUNS_AGAIN] * again
    lines += [f"prism-boot: {step}\n" for step in (STEPS[0], *own, *STEPS[1:])]
    return gzip.compress(
        "".join(["# prism:ttl random/boot_id random/uuid hibernate.target\n", *lines]).encode(),
        mtime=0,
    )


class OpenConnectivity:
    """Gives access to every machine that is on."""

    def __init__(self, instances: InstanceCache) -> None:
        self.instances = instances
        self.watched: list[tuple[str, IdleRule | None]] = []
        self.idles: dict[str, Idleness] = {}

    def access(self, id: str) -> Access:
        known = self.instances.look(id) if id.startswith("i-") else None
        if known is None or known.state != "running":
            raise Unavailable(f"Machine {id} is not on")
        endpoints = {"page": ServiceEndpoint(url=f"http://{known.public_ip}:80")}
        return Access(
            host=not_none(known.public_ip), user="ubuntu", ssh_port=22, endpoints=endpoints
        )

    def watch(self, id: str, rule: IdleRule | None) -> None:
        self.watched.append((id, rule))

    def address_of(self, id: str, port: int) -> None:
        return None

    def idle(self, id: str) -> Idleness | None:
        return self.idles.get(id)


class AwsParts:
    """`AwsCompute` and the parts that it is made of."""

    def __init__(
        self,
        aws: AwsDouble,
        cloud: Cloud,
        home: Path,
        *,
        probe: Callable[[Ec2Instance], str | None] | None = None,
        executor: Executor | None = None,
        pace: float = 1.0,
        listeners: Sequence[Callable[[str, str], object]] = (),
    ) -> None:
        self.aws, self.cloud = aws, cloud
        self.instances, self.console = InstanceCache(cloud), Console(cloud)
        self.connectivity = OpenConnectivity(self.instances)
        self.executor = executor or ImmediateExecutor()
        self.readiness = Readiness(
            cloud,
            Fresh(self.console),
            probe=probe,
            executor=self.executor,
            pace=pace,
            listeners=listeners,
        )
        self.requests = SpotRequests(cloud, self.instances, self.executor)
        self.prerequisites = AwsLaunchPrerequisites(
            cloud, home, "lab", caller=lambda: "203.0.113.7/32"
        )
        self.compute = AwsCompute(
            cloud,
            self.instances,
            self.readiness,
            self.requests,
            prerequisites_of=lambda profile: self.prerequisites,
            script=script,
            connectivity=self.connectivity,
        )

    def set_up(self) -> None:
        """Make what an administrator makes in the account, once."""
        set_up(self.aws)

    def prepare(self, ports: Sequence[int] = ()) -> str:
        """Make the prerequisites of a launch, and wait until EC2 shows them."""
        self.prerequisites.key()
        for _ in range(6):
            try:
                return self.prerequisites.group(ports)
            except Unavailable:
                self.pass_on()
        raise AssertionError("the security group was never shown")

    def pass_on(self) -> None:
        """Advance the clock until EC2 shows what was made or changed."""
        self.aws.clock.advance(PROPAGATED)

    def spec(self, **more: Any) -> MachineSpec:
        usual = MachineSpec(
            key="ws_1",
            name="mine",
            owner="ada",
            profile="lab",
            template=TEMPLATE,
            instance_type="t3.small",
            root_gb=20,
            hibernation=True,
            launched_at=self.aws.clock.now(),
        )
        return replace(usual, **more)

    def ask(self, **more: Any) -> Machine:
        """Launch a machine whose prerequisites EC2 shows."""
        spec = self.spec(**more)
        self.prepare(spec.template.ports if spec.open_ports else ())
        self.pass_on()
        return self.compute.launch(spec)

    def launch(self, **more: Any) -> Machine:
        """Launch a machine and wait until EC2 shows it."""
        launch = self.ask(**more)
        self.pass_on()
        return launch

    def look(self) -> Machine:
        """The only machine, as a survey shows it."""
        [machine] = self.compute.survey()
        return machine

    def on(self, **more: Any) -> str:
        """Launch a machine and wait until it is on."""
        id = self.launch(**more).id
        self.aws.clock.advance(5)
        self.compute.survey()
        return id

    def after(self, seconds: float = 5) -> Machine:
        """Advance the clock; return the only machine."""
        self.aws.clock.advance(seconds)
        return self.look()

    def tags(self, id: str) -> Mapping[str, str]:
        return not_none(self.instances.look(id)).tags

    def calls(self, action: str | None = None) -> list[str]:
        return [call.action for call in self.aws.calls if action in {None, call.action}]


class Fresh(Console):
    """Consoles whose output is never cached, since the clock is stopped."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def read(self, id: str, fresh: float = 0.0) -> str:
        return self.console.read(id, 0.0)
