"""What this machine says of an order before anything is made."""

from datetime import timedelta
from hashlib import sha256

from prism.catalog.model import MachineType
from prism.catalog.plan import price
from prism.errors import ValidationFailed
from prism.kit.money import Micros
from prism.kit.programs import there
from prism.providers.local.limits import limits_for
from prism.templates.model import Template
from prism.templates.plan import local_refusal, runs_locally
from prism.workspaces.model import Launch, Workspace

PRICED_AS = "us-east-1"


class LocalOffer:
    """Implements `workspaces.model.Offer`; `simulated` asks what EC2 would cost."""

    provider = "local"
    region = "local"
    ready_in = timedelta(minutes=1)

    def __init__(self, place: str, *, simulated: bool = False) -> None:
        self.place = place
        self._simulated = simulated

    def accept(self, template: Template, kind: MachineType, order: Launch) -> tuple[str, ...]:
        """Notes on what will be other than asked; raises for what cannot run here."""
        wanted = {
            program for service in template.services.values() for program in service.requires
        }
        found = {program for program in wanted if there(program)}
        if reasons := runs_locally(template, found):
            raise local_refusal(template, reasons)
        notes = []
        if order.region not in {None, self.region}:
            notes.append(f"region {order.region} has no meaning here: it runs on this machine")
        if order.open_ports:
            notes.append("open ports have no meaning here: services listen on this machine only")
        if order.spot:
            notes.append("spot has no meaning here: this machine is not rented")
        return (*notes, *_granted(kind))

    def resize(self, workspace: Workspace, kind: MachineType) -> tuple[str, ...]:
        """What it would get of that type; raises where it wants a GPU that is not here."""
        return _granted(kind)

    def change_template(self, workspace: Workspace, template: Template) -> None:
        """Whatever runs here can be made in the folder that is there."""

    def hibernates(self, kind: MachineType, template: Template, order: Launch) -> bool:
        """Always: a process can be frozen, whatever type of machine it stands for."""
        return True

    def root_gb(self, kind: MachineType, template: Template, order: Launch) -> int:
        """As was asked, else as the template says; nothing of it is set aside."""
        return order.storage.ebs_volume_size or template.root_gb

    def price(
        self, kind: MachineType, spot: bool, unlimited: bool = False
    ) -> tuple[Micros | None, str | None]:
        """Nothing; or, simulated, the on-demand price of the type it stands for."""
        if not self._simulated:
            return Micros(0), "local"
        if (found := price(kind.name, PRICED_AS)) is None:
            return None, f"simulated: nobody knows the price of {kind.name} in {PRICED_AS}"
        return found.hourly, f"simulated: {found.source}, {PRICED_AS}, as of {found.as_of}"

    def image(self, template: Template, kind: MachineType) -> str:
        """Nothing is made from an image: the system is the one that runs here."""
        return "this machine"

    def expected_id(self, key: str) -> str | None:
        """The id that `LocalCompute.launch` gives to this key."""
        return machine_id(key)


def _granted(kind: MachineType) -> tuple[str, ...]:
    """What this machine cannot grant of that type, in words."""
    if kind.gpus and not there("nvidia-smi"):
        raise ValidationFailed.of(
            ("instance_type", f"{kind.name} has a GPU and this machine has none"),
            remediation="Use `prism launch --instance-type t3.xlarge` for one without",
        )
    return limits_for(kind.vcpus, kind.memory_gib)[1]


def machine_id(key: str) -> str:
    """The id of the machine that this key makes; the same each time."""
    return f"local-{sha256(key.encode()).hexdigest()[:17]}"
