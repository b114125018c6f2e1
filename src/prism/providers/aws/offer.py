"""Checks, notes and prices of a launch on AWS; makes no call to AWS."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import lru_cache
from hashlib import sha512

import msgspec

from prism.catalog.model import MachineType
from prism.catalog.plan import TYPES, machine_type, sizes_with
from prism.errors import InvalidState, ValidationFailed
from prism.kit.clock import Clock
from prism.kit.money import Micros
from prism.profiles.providers import AWS
from prism.providers.aws.machine.cloudinit.document import render
from prism.providers.aws.machine.cloudinit.model import BootConfig
from prism.providers.aws.machine.cloudinit.tokens import tokens
from prism.providers.aws.prerequisites.free_plan import advice
from prism.providers.aws.prerequisites.images import BASES, WORDS
from prism.providers.aws.prices.credits import is_burstable, surplus
from prism.providers.aws.prices.price_list import Prices
from prism.templates.model import DEFAULT_BASE, UPDATES_UNTIL, Base, Template
from prism.templates.plan import parameters_for
from prism.workspaces.model import LaunchRequest, Workspace
from prism.workspaces.ports import MachineSpec

GPU_BASES: tuple[Base, ...] = ("ubuntu-22.04", "ubuntu-24.04")
MOST_RAM = 150  # GiB of memory, the most that EC2 hibernates
SHORT_SUPPORT = timedelta(days=365)  # a system whose updates end within this time is named
SYSTEM_GB = 10  # of a root disk, for the system and its packages, besides the memory
# EC2 User Guide: "Change the instance type" says that it is not possible with hibernation enabled,
# "How Amazon EC2 instance hibernation works" says that it is.
MAY_KEEP_TYPE = (
    "its machine may hibernate, and AWS's documents disagree on whether such a machine can change "
    "its type: if EC2 refuses, it stays {kind}, and `prism show {name}` says so"
)
Known = Callable[[Base, str], str | None]


class AwsOffer:
    """Implements `workspaces.model.Offer` for one account and region.

    `known` returns the image of a base and architecture, if it was looked up already.
    """

    provider: str = AWS

    def __init__(
        self,
        location: str,
        region: str,
        prices: Prices,
        known: Known = lambda base, built: None,
        note: Callable[[], str | None] = lambda: None,
        *,
        clock: Clock,
        included: Callable[[], frozenset[str] | None] = lambda: None,
    ) -> None:
        """`note` returns what machines of this location cannot do, if known.

        `included` returns the machine types of an account with AWS's Free plan, if it has that.
        """
        self.location, self.region = location, region
        self._prices, self._known, self._note = prices, known, note
        self._included, self._clock = included, clock

    def accept(
        self, template: Template, kind: MachineType, request: LaunchRequest
    ) -> tuple[str, ...]:
        """Notes on deviations from the request; raises if EC2 could not run it."""
        included = self._included()
        if included is not None and kind.name not in included:
            raise ValidationFailed.of(
                ("instance_type", f"AWS's Free plan of the account does not include {kind.name}"),
                remediation=advice(included),
            )
        sleeps = request.hibernation and self.hibernates(kind, template, request)
        encoded = msgspec.json.encode(template), msgspec.json.encode(request.parameters)
        _check_user_data(*encoded, kind.architecture, sleeps)
        if template.family == "gpu" and not kind.gpus:
            raise ValidationFailed.of(
                ("instance_type", f"{template.name!r} needs a GPU and {kind.name} has none"),
                remediation="Use `prism launch --instance-type g4dn.xlarge`, or name a size only",
            )
        if why := _gpu_obstacle(template):
            raise ValidationFailed.of(("template", why))
        if request.storage.ebs_volume_type == "st1":
            raise ValidationFailed.of(
                ("storage.ebs_volume_type", "no machine starts from an st1 disk; gp3 is usual")
            )
        return tuple(self._notes(template, kind, request))

    def resize(self, workspace: Workspace, kind: MachineType) -> tuple[str, ...]:
        """Raise if the machine could not start, or no longer hibernate, on that type.

        A stopped spot machine keeps its type (EC2 User Guide, "Stop a Spot Instance").
        """
        if workspace.spot and kind.name != workspace.instance_type:
            raise ValidationFailed.of(("instance_type", "on EC2 a spot machine keeps its type"))
        was = TYPES.get(workspace.instance_type)
        if was is not None and was.architecture != kind.architecture:
            built = f"{kind.name} is {kind.architecture}"
            raise ValidationFailed.of(
                ("instance_type", f"{built}, and its system was made for {was.architecture}")
            )
        if workspace.resolved_template.family == "gpu" and not kind.gpus:
            raise ValidationFailed.of(
                ("instance_type", f"{workspace.template!r} needs a GPU and {kind.name} has none")
            )
        if workspace.hibernation and (why := _hibernation_obstacle(kind, workspace.root_gb)):
            problem = f"hibernation was enabled at launch and stays so: {why}"
            raise ValidationFailed.of(("instance_type", problem))
        if workspace.hibernation and kind.name != workspace.instance_type:
            return (MAY_KEEP_TYPE.format(kind=workspace.instance_type, name=workspace.name),)
        return ()

    def change_template(self, workspace: Workspace, template: Template) -> None:
        """Raise if the machine would need another image, or another account."""
        if why := _gpu_obstacle(template):
            raise ValidationFailed.of(("template", why))
        before = workspace.resolved_template
        changed = [
            f"`{field}` was {old} at its launch and is {new} now"
            for field, old, new in (
                ("base", _base_of(before), _base_of(template)),
                ("users", list(before.users), list(template.users)),
            )
            if old != new
        ]
        if changed:
            name, launch = workspace.name, f"`prism launch {template.slug or template.name}"
            raise InvalidState(
                f"The machine of {name!r} cannot be set up by the template as it is now",
                details="; ".join(changed),
                remediation=f"Destroy it and launch it anew: `prism terminate {name} --yes`, "
                f"then {launch} {name}`",
            )
        encoded = msgspec.json.encode(template), msgspec.json.encode(workspace.parameters)
        built = machine_type(workspace.instance_type).architecture
        _check_user_data(*encoded, built, workspace.hibernation, again=True)

    def hibernates(self, kind: MachineType, template: Template, request: LaunchRequest) -> bool:
        """Whether the machine of this launch can hibernate, by its type, system and disk."""
        return self._no_hibernation(kind, template, request) is None

    def root_gb(self, kind: MachineType, template: Template, request: LaunchRequest) -> int:
        """The requested size; else the template's, with room for the memory if it may hibernate.

        The room is enough for every type to which it may be resized, because EC2 lets disks grow
        only every few hours, and a machine without that room does not hibernate.
        """
        if (size_gb := request.storage.ebs_volume_size) is not None:
            return size_gb
        sleeps = request.hibernation and self.hibernates(kind, template, request)
        return template.root_gb + (_largest_size(kind, template).memory_gib if sleeps else 0)

    def price(
        self, kind: MachineType, spot: bool, unlimited: bool = False
    ) -> tuple[Micros | None, str | None]:
        """The highest price of an hour, with a note; a spot machine costs at most the list price.

        With unlimited credits, it assumes that all CPUs are always busy, because AWS reports their
        use only on the bill.
        """
        quote = self._prices.spot(kind.name, self.region) if spot else None
        quote = quote or self._prices.hourly(kind.name, self.region)
        if quote is None:
            return None, None
        if not unlimited or not is_burstable(kind):
            return quote.amount, quote.source
        most = surplus(kind)
        source = f"{quote.source}; at most ${most / 1e6:.2f} of it for unlimited CPU credits"
        return Micros(quote.amount + most), source

    def image(self, template: Template, kind: MachineType) -> str:
        """The image if it is known, else how the launch will choose one."""
        base = _base_of(template)
        if known := self._known(base, kind.architecture):
            return known
        published, words = BASES[base], WORDS[kind.architecture]
        if published.parameter is not None:
            return f"ssm:{published.parameter.format_map(words)}"
        return f"the newest {published.name.format_map(words)} of {published.owner}"

    def expected_id(self, key: str) -> str | None:
        """None: EC2 chooses the id."""
        return None

    def _notes(
        self, template: Template, kind: MachineType, request: LaunchRequest
    ) -> Iterator[str]:
        if template.base is None:
            yield f"its template names no system (`base`): it gets {DEFAULT_BASE}"
        base, now = _base_of(template), self._clock.now().date()
        if (end := UPDATES_UNTIL[base]) < now + SHORT_SUPPORT:
            yield f"its system {base} gets no security updates after {end:%B %Y}"
        if request.hibernation and (why := self._no_hibernation(kind, template, request)):
            yield f"it cannot hibernate, only stop: {why}"
        disk, usual = self.root_gb(kind, template, request), template.root_gb
        if request.storage.ebs_volume_size is None and disk > usual:
            largest = _largest_size(kind, template).name
            room = "" if largest == kind.name else f", enough for a resize up to {largest}"
            yield f"its root disk has {disk} GB, not {usual}, for memory in hibernation{room}"
        if request.restart:
            yield "`--restart` has an effect only on this computer"
        yield from _credit_notes(kind, request)
        if lacking := self._note():
            yield f"{lacking}; make it: `prism aws setup`"
        if request.spot:
            yield "EC2 may reclaim a spot machine with two minutes' notice"
            if self._prices.spot(kind.name, self.region) is None:
                yield "the spot price is not known; it is at most the on-demand price"
        if self.price(kind, request.spot)[0] is None:
            yield f"nobody knows what {kind.name} costs in {self.region}"

    def _no_hibernation(
        self, kind: MachineType, template: Template, request: LaunchRequest
    ) -> str | None:
        """Why the machine of this launch cannot hibernate."""
        base = _base_of(template)
        if not BASES[base].hibernates:
            return f"EC2 cannot hibernate {base}"
        return _hibernation_obstacle(kind, request.storage.ebs_volume_size)


def no_hibernation(workspace: Workspace) -> str | None:
    """Why a machine cannot hibernate since its launch; makes no call.

    None if nothing prevented hibernation. The launch may have asked for none, which is not
    recorded: then the disk has the template's size.
    """
    base, kind = (
        workspace.resolved_template.base or DEFAULT_BASE,
        TYPES.get(workspace.instance_type),
    )
    if not BASES[base].hibernates:
        return f"EC2 cannot hibernate {base}"
    if kind is None:
        return None
    usual = workspace.root_gb == workspace.resolved_template.root_gb
    why = _hibernation_obstacle(kind, None if usual else workspace.root_gb)
    if why is None and usual and (small := _hibernation_obstacle(kind, workspace.root_gb)):
        return f"it was launched with `--no-hibernation`, or {small}"
    return why


def _hibernation_obstacle(kind: MachineType, disk_gb: int | None) -> str | None:
    """Why such a machine cannot hibernate; `disk_gb` is None before the disk is made."""
    if not kind.hibernates:
        return f"EC2 cannot hibernate {kind.name}"
    if kind.memory_gib >= MOST_RAM:
        return f"{kind.name} has {kind.memory_gib} GiB of memory, not less than {MOST_RAM}"
    needed = kind.memory_gib + SYSTEM_GB
    if disk_gb is not None and disk_gb < needed:
        return f"a root disk of {disk_gb} GB is too small, {kind.name} needs {needed}"
    return None


def _largest_size(kind: MachineType, template: Template) -> MachineType:
    """The type with the most memory to which the machine can be resized and still hibernate."""
    sizes = sizes_with(kind, template.family)
    hibernating = [
        machine_type
        for machine_type in sizes
        if machine_type.hibernates and machine_type.memory_gib < MOST_RAM
    ]
    return max([kind, *hibernating], key=lambda it: it.memory_gib)


def _credit_notes(kind: MachineType, request: LaunchRequest) -> Iterator[str]:
    if request.unlimited and is_burstable(kind):
        most = surplus(kind) / 1e6
        yield f"its CPU is unlimited: up to ${most:.2f} an hour more, which its price includes"
    elif request.unlimited:
        yield f"{kind.name} has no CPU credits: `--unlimited` changes nothing"


def _gpu_obstacle(template: Template) -> str | None:
    """Why its boot would fail: the driver of NVIDIA comes from Ubuntu's packages."""
    base = _base_of(template)
    if template.family != "gpu" or base in GPU_BASES:
        return None
    return (
        f"{template.name!r} needs a GPU, and Prism can install NVIDIA's driver only on "
        f"{' and '.join(GPU_BASES)}, not on {base}"
    )


def _base_of(template: Template) -> Base:
    return template.base or DEFAULT_BASE


@lru_cache(maxsize=256)
def _check_user_data(
    template: bytes, parameters: bytes, built: str, sleeps: bool, again: bool = False
) -> None:
    """Raise if the user data of such a machine cannot be made; cached for equal machines.

    The keys are not real, but as long, and they compress as well.
    """
    parsed, key = msgspec.json.decode(template, type=Template), sha512(b"draft").digest()
    draft = MachineSpec(
        key="ws_0123456789abcdef0123",
        name="a-name-of-some-length",
        template=parsed,
        parameters=parameters_for(parsed, msgspec.json.decode(parameters)),
        instance_type="",
        root_gb=parsed.root_gb,
        hibernation=sleeps,
    )
    boot = BootConfig(
        architecture="arm64" if built == "arm64" else "x86_64",
        user=BASES[_base_of(parsed)].user,
        public_key=f"ssh-ed25519 {b64encode(key).decode()}",
        tokens=tokens(key, draft),
    )
    render(draft, boot, again=again)
