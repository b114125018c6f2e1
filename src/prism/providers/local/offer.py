"""Checks, notes and prices of a launch on this machine."""

from hashlib import sha256

from prism.catalog.model import MachineType
from prism.catalog.plan import price
from prism.errors import ValidationFailed
from prism.kit.money import Micros
from prism.kit.programs import on_path
from prism.profiles.providers import LOCAL
from prism.providers.local.launch_check import LaunchCheck
from prism.providers.local.limits import limits_for
from prism.templates.model import Template
from prism.templates.plan import local_refusal, runs_locally
from prism.workspaces.model import LaunchRequest, Workspace

PRICED_AS = "us-east-1"


class LocalOffer:
    """Implements `workspaces.model.Offer`; `simulated` shows EC2's prices."""

    provider: str = LOCAL
    region: str = LOCAL

    def __init__(
        self, location: str, *, simulated: bool = False, check: LaunchCheck | None = None
    ) -> None:
        """`check` says whether a workspace can start here; without it, that is not asked."""
        self.location = location
        self._simulated, self._check = simulated, check

    def accept(
        self, template: Template, kind: MachineType, request: LaunchRequest
    ) -> tuple[str, ...]:
        """Notes on what differs from the request; raises if it cannot run here."""
        required = {
            program for service in template.services.values() for program in service.requires
        }
        installed = {program for program in required if on_path(program)}
        if reasons := runs_locally(template, installed):
            raise local_refusal(template, reasons)
        notes = []
        if request.region not in {None, self.region}:
            notes.append(f"region {request.region} has no meaning here: it runs on this machine")
        if request.open_ports:
            notes.append("open ports have no meaning here: services listen on this machine only")
        if request.spot:
            notes.append("spot has no meaning here: this machine is not rented")
        notes += _limit_notes(kind)
        if self._check:
            notes += self._check.notes(packages=bool(template.packages.get("pip")))
        return tuple(notes)

    def resize(self, workspace: Workspace, kind: MachineType) -> tuple[str, ...]:
        """Notes on the limits of that type; raises if it needs a GPU that is not here."""
        return _limit_notes(kind)

    def change_template(self, workspace: Workspace, template: Template) -> None:
        """Any template that runs here can replace the present one."""

    def hibernates(self, kind: MachineType, template: Template, request: LaunchRequest) -> bool:
        """True: processes can be frozen, whatever the machine type."""
        return True

    def root_gb(self, kind: MachineType, template: Template, request: LaunchRequest) -> int:
        """As requested, else as in the template; no space is reserved."""
        return request.storage.ebs_volume_size or template.root_gb

    def price(
        self, kind: MachineType, spot: bool, unlimited: bool = False
    ) -> tuple[Micros | None, str | None]:
        """Zero; or, if simulated, the on-demand price of the type."""
        if not self._simulated:
            return Micros(0), "local"
        if (listed := price(kind.name, PRICED_AS)) is None:
            return None, f"simulated: nobody knows the price of {kind.name} in {PRICED_AS}"
        return listed.hourly, f"simulated: {listed.source}, {PRICED_AS}, as of {listed.as_of}"

    def image(self, template: Template, kind: MachineType) -> str:
        """There is no image: the system is that of this machine."""
        return "this machine"

    def expected_id(self, key: str) -> str | None:
        """The id that `LocalCompute.launch` gives to this key."""
        return machine_id(key)


def _limit_notes(kind: MachineType) -> tuple[str, ...]:
    """What this computer cannot give of that type, in words."""
    if kind.gpus and not on_path("nvidia-smi"):
        raise ValidationFailed.of(
            ("instance_type", f"{kind.name} has a GPU and this machine has none"),
            remediation="Use `prism launch --instance-type t3.xlarge` for one without",
        )
    return limits_for(kind.vcpus, kind.memory_gib)[1]


def machine_id(key: str) -> str:
    """The id of the machine with this key; always the same."""
    return f"local-{sha256(key.encode()).hexdigest()[:17]}"
