"""The parts of one place of AWS, put together: the only file that knows all of them."""

from pathlib import Path

from prism.connections.ports import Spot
from prism.errors import Unavailable
from prism.providers.aws.cloudinit.document import render
from prism.providers.aws.cloudinit.model import Boot
from prism.providers.aws.cloudinit.tokens import tokens
from prism.providers.aws.compute import AwsCompute
from prism.providers.aws.console import Console
from prism.providers.aws.ground.address import caller_cidr
from prism.providers.aws.ground.ground import Ground
from prism.providers.aws.ground.images import ImageChoice
from prism.providers.aws.ground.keys import KeyPair
from prism.providers.aws.ground.kinds import Kind
from prism.providers.aws.identity import OwnCloud
from prism.providers.aws.places import Parts
from prism.providers.aws.ready import Readiness
from prism.providers.aws.requests import SpotRequests
from prism.providers.aws.survey import Book
from prism.workspaces.idleness import Idleness, IdleRule
from prism.workspaces.ports import Access, Order


def assemble(cloud: OwnCloud, home: Path, caller: str = "") -> Parts:
    """Everything that serves the place of a cloud; `caller` is the range that we come from."""
    book, console = Book(cloud), Console(cloud)
    grounds = Grounds(cloud, home, caller)
    compute = AwsCompute(
        cloud,
        book,
        Readiness(cloud, console),
        SpotRequests(cloud, book),
        grounds=grounds,
        script=user_data,
        way=NoWay(),
    )
    return Parts(cloud=cloud, compute=compute, close=compute.close)


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


def user_data(order: Order, image: ImageChoice, kind: Kind, key: KeyPair) -> bytes:
    """Implements `parts.Scripts`."""
    boot = Boot(
        architecture=image.architecture,
        user=image.user,
        public_key=key.public,
        tokens=tokens(key.private_path.read_bytes(), order),
    )
    return render(order, boot).gzipped


class NoWay:
    """Implements `parts.Way` where there is none."""

    def access(self, id: str) -> Access:
        """There is no way in."""
        raise Unavailable(f"There is no way into machine {id} yet")

    def watch(self, id: str, rule: IdleRule | None) -> None:
        """Nobody can be told."""

    def spot(self, id: str, port: int) -> Spot | None:
        """There is no way there."""
        return None

    def idle(self, id: str) -> Idleness | None:
        """Nothing is known."""
        return None
