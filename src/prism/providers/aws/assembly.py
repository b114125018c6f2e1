"""The parts of one place of AWS, put together: the only file that knows all of them."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from prism.providers.aws.cloudinit.document import render
from prism.providers.aws.cloudinit.model import Boot
from prism.providers.aws.cloudinit.tokens import tokens
from prism.providers.aws.compute import AwsCompute
from prism.providers.aws.console import Console
from prism.providers.aws.files import AwsFiles
from prism.providers.aws.generation_tags import GenerationTags
from prism.providers.aws.ground.address import caller_cidr
from prism.providers.aws.ground.ground import Ground
from prism.providers.aws.ground.images import ImageChoice
from prism.providers.aws.ground.keys import KeyPair
from prism.providers.aws.ground.kinds import Kind
from prism.providers.aws.identity import OwnCloud
from prism.providers.aws.instance import Instance
from prism.providers.aws.places import Parts
from prism.providers.aws.ready import Readiness
from prism.providers.aws.requests import SpotRequests
from prism.providers.aws.survey import Book
from prism.providers.aws.volumes import AwsVolumes
from prism.providers.aws.way import AwsWay
from prism.providers.aws.welcome import Welcome
from prism.recovery.ports import WorldGeneration
from prism.templates.model import Base
from prism.workspaces.ports import Order


def assemble(
    cloud: OwnCloud,
    home: Path,
    caller: str = "",
    stranger: Callable[[int], bool] = lambda inode: False,
    generation: WorldGeneration | None = None,
) -> Parts:
    """Everything that serves the place of a cloud.

    `caller` is the range that we come from; `stranger` says whose sockets, by inode, may not
    use the ports of this computer that lead to machines.
    """
    book, console = ReadAloud(cloud), Console(cloud)
    generations = GenerationTags(cloud, generation)
    grounds = Grounds(cloud, home, caller)
    welcome = Welcome(book, grounds, cloud.clock)
    way = AwsWay(book, console, home, welcome.beg, stranger=stranger)
    welcome.told.append(way.pool.forgive)
    book.listeners += [generations.machines, way.look]
    compute = AwsCompute(
        cloud,
        book,
        Readiness(cloud, console, probe=way.booted, heard=[way.keys.learn]),
        SpotRequests(cloud, book),
        grounds=grounds,
        script=user_data,
        way=way,
        welcome=welcome.beg,
    )
    return Parts(
        cloud=cloud,
        compute=compute,
        logs=way.logs,
        files=AwsFiles(way.pool),
        volumes=AwsVolumes(cloud, way.pool, generations.volumes),
        image=grounds.image,
        note=grounds.note,
        compared=lambda: generations.compared,
        close=_together(compute.close, welcome.close, way.close),
    )


def _together(*closes: Callable[[], object]) -> Callable[[], object]:
    """Closes all, the first one first, also where one fails."""
    closing = ExitStack()
    for close in reversed(closes):
        closing.callback(close)
    return closing.close


class ReadAloud(Book):
    """A book that tells who listens what each survey has shown."""

    def __init__(self, cloud: OwnCloud) -> None:
        super().__init__(cloud)
        self.listeners: list[Callable[[Sequence[Instance]], object]] = []

    def survey(self) -> Sequence[Instance]:
        """Look at all of them, now, and tell."""
        found = super().survey()
        for listen in self.listeners:
            listen(found)
        return found


class Grounds:
    """Implements `parts.Grounds`: each profile's, made when it first launches."""

    def __init__(self, cloud: OwnCloud, home: Path, caller: str) -> None:
        self._cloud, self._home = cloud, home
        self._caller = lambda: caller_cidr(caller, cloud.endpoint("ec2"))
        self._known: dict[str, Ground] = {}

    def __call__(self, profile: str) -> Ground:
        """That of this one."""
        if profile not in self._known:
            made = Ground(
                self._cloud, self._home, profile, caller=self._caller, clock=self._cloud.clock
            )
            self._known.setdefault(profile, made)
        return self._known[profile]

    def image(self, base: Base, built: str) -> str | None:
        """The image of a base that some launch has looked up; asks nobody."""
        found = (it.known_image(base, built) for it in list(self._known.values()))
        return next((it.id for it in found if it is not None), None)

    def note(self) -> str | None:
        """What machines launched here lack, for want of a role; asks nobody."""
        return next((it.note for it in list(self._known.values()) if it.note), None)


def user_data(order: Order, image: ImageChoice, kind: Kind, key: KeyPair) -> bytes:
    """Implements `parts.Scripts`."""
    boot = Boot(
        architecture=image.architecture,
        user=image.user,
        public_key=key.public,
        tokens=tokens(key.private_path.read_bytes(), order),
    )
    return render(order, boot).gzipped
