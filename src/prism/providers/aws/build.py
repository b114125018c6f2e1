"""Builds the parts of one location of AWS; the only file that imports all of them."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from prism.providers.aws.account.identity import AccountCloud
from prism.providers.aws.compute.console import Console
from prism.providers.aws.compute.generation_tags import GenerationTags
from prism.providers.aws.compute.lifecycle import AwsCompute
from prism.providers.aws.compute.readiness import Readiness
from prism.providers.aws.compute.spot_requests import SpotRequests
from prism.providers.aws.compute.survey import InstanceCache
from prism.providers.aws.locations import AwsLocationParts
from prism.providers.aws.machine.cloudinit.document import render
from prism.providers.aws.machine.cloudinit.model import BootConfig
from prism.providers.aws.machine.cloudinit.tokens import tokens
from prism.providers.aws.machine.connectivity import AwsConnectivity
from prism.providers.aws.machine.files import AwsFiles
from prism.providers.aws.network.address import caller_cidr
from prism.providers.aws.network.ingress import IngressUpdater
from prism.providers.aws.prerequisites.images import ImageChoice
from prism.providers.aws.prerequisites.keys import KeyPair
from prism.providers.aws.prerequisites.launch import AwsLaunchPrerequisites
from prism.providers.aws.storage.volumes import AwsVolumes
from prism.recovery.ports import GenerationMarks
from prism.templates.model import Base
from prism.workspaces.ports import MachineSpec


def assemble(
    cloud: AccountCloud,
    home: Path,
    caller: str = "",
    stranger: Callable[[int], bool] = lambda inode: False,
    generation: GenerationMarks | None = None,
) -> AwsLocationParts:
    """Build all parts that serve one account and region.

    `caller` is our own address range; `stranger` returns whether a socket, by its inode, may not
    use the ports of this computer that lead to machines.
    """
    instances, console = InstanceCache(cloud), Console(cloud)
    generations = GenerationTags(cloud, generation)
    prerequisites_of = AwsPrerequisitesByProfile(cloud, home, caller)
    ingress = IngressUpdater(instances, prerequisites_of, cloud.clock)
    connectivity = AwsConnectivity(instances, console, home, ingress.request, stranger=stranger)
    ingress.listeners.append(connectivity.pool.reset_backoff)
    instances.listeners += [generations.machines, connectivity.look]
    compute = AwsCompute(
        cloud,
        instances,
        Readiness(cloud, console, probe=connectivity.booted, listeners=[connectivity.keys.learn]),
        SpotRequests(cloud, instances),
        prerequisites_of=prerequisites_of,
        script=user_data,
        connectivity=connectivity,
        open_ingress=ingress.request,
    )
    return AwsLocationParts(
        cloud=cloud,
        compute=compute,
        logs=connectivity.logs,
        files=AwsFiles(connectivity.pool),
        volumes=AwsVolumes(cloud, connectivity.pool, generations.volumes),
        image=prerequisites_of.image,
        note=prerequisites_of.note,
        compared=lambda: generations.compared,
        close=_close_all(compute.close, ingress.close, connectivity.close),
    )


def _close_all(*closes: Callable[[], object]) -> Callable[[], object]:
    """A function that calls all of these in order, even if one fails."""
    closing = ExitStack()
    for close in reversed(closes):
        closing.callback(close)
    return closing.close


class AwsPrerequisitesByProfile:
    """A `PrerequisitesByProfile`; made at the first launch of a profile."""

    def __init__(self, cloud: AccountCloud, home: Path, caller: str) -> None:
        self._cloud, self._home = cloud, home
        self._caller = lambda: caller_cidr(caller, cloud.endpoint("ec2"))
        self._known: dict[str, AwsLaunchPrerequisites] = {}

    def __call__(self, profile: str) -> AwsLaunchPrerequisites:
        """The prerequisites of this profile."""
        if profile not in self._known:
            prerequisites = AwsLaunchPrerequisites(
                self._cloud, self._home, profile, caller=self._caller
            )
            self._known.setdefault(profile, prerequisites)
        return self._known[profile]

    def image(self, base: Base, built: str) -> str | None:
        """The image of a base, if an earlier launch has looked it up; makes no call."""
        for prerequisites in list(self._known.values()):
            if (image_choice := prerequisites.known_image(base, built)) is not None:
                return image_choice.id
        return None

    def note(self) -> str | None:
        """What machines cannot do because they have no role; makes no call."""
        for prerequisites in list(self._known.values()):
            if note := prerequisites.note:
                return note
        return None


def user_data(
    spec: MachineSpec,
    image: ImageChoice,
    key: KeyPair,
    *,
    again: bool = False,
) -> bytes:
    """Implements `compute.parts.Scripts`."""
    boot = BootConfig(
        architecture=image.architecture,
        user=image.user,
        public_key=key.public,
        tokens=tokens(key.private_path.read_bytes(), spec),
    )
    return render(spec, boot, again=again).gzipped
