"""Checks, notes and prices of workspaces, volumes and snapshots on a lab server."""

from datetime import timedelta

from prism.catalog.model import MachineType
from prism.errors import ValidationFailed
from prism.kit.money import Micros
from prism.profiles.model import Profile
from prism.profiles.providers import LAB_SERVER, TRAITS
from prism.providers.ssh.compute import machine_id
from prism.providers.ssh.model import NotOnServers, ServerFacts
from prism.storage.model import VolumeKind
from prism.templates.model import Template
from prism.templates.plan import local_refusal, runs_locally
from prism.workspaces.model import LaunchRequest, Workspace

GIB = 2**30
NO_RATE = "no rate set"
NOT_YET = "is not there yet on lab servers"
ELSEWHERE = "Launch it on this computer (`--profile local`) or on AWS, which can"


class LabOffer:
    """Implements `workspaces.model.Offer`; `facts` is what the server said last, if anything."""

    provider: str = LAB_SERVER
    region = "server"
    ready_in = timedelta(minutes=2)

    def __init__(self, location: str, profile: Profile, facts: ServerFacts | None) -> None:
        self.location, self._profile, self._facts = location, profile, facts
        self.region = TRAITS[LAB_SERVER].region or ""

    def accept(
        self, template: Template, kind: MachineType, request: LaunchRequest
    ) -> tuple[str, ...]:
        """Notes on what differs from the request; raises if it cannot run there."""
        if reasons := runs_locally(template, ()):
            raise local_refusal(template, reasons)
        if kind.gpus:
            raise ValidationFailed.of(
                ("instance_type", f"{kind.name} has a GPU, and handing out GPUs {NOT_YET}"),
                remediation="Use `--instance-type t3.xlarge` for one without",
            )
        if request.volumes:
            raise NotOnServers(f"Attaching volumes {NOT_YET}", remediation=ELSEWHERE)
        if request.open_ports or request.spot:
            option = "open ports" if request.open_ports else "spot"
            raise NotOnServers(
                f"A lab server has no {option}",
                details="its ports are reached through LAB_SERVER, and it is not rented",
                remediation="Launch it without that option",
            )
        return self._notes(kind)

    def resize(self, workspace: Workspace, kind: MachineType) -> tuple[str, ...]:
        """Refuses."""
        raise NotOnServers(
            f"Resizing {NOT_YET}",
            remediation="Launch another workspace with that size, and terminate this one",
        )

    def change_template(self, workspace: Workspace, template: Template) -> None:
        """Any template that runs there can replace the present one."""
        if reasons := runs_locally(template, ()):
            raise local_refusal(template, reasons)

    def hibernates(self, kind: MachineType, template: Template, request: LaunchRequest) -> bool:
        """True: processes are frozen, by a control group or by signals."""
        return True

    def root_gb(self, kind: MachineType, template: Template, request: LaunchRequest) -> int:
        """As requested, else as in the template; no space is reserved."""
        return request.storage.ebs_volume_size or template.root_gb

    def price(
        self, kind: MachineType, spot: bool, unlimited: bool = False
    ) -> tuple[Micros | None, str | None]:
        """What the rates of the profile say; None without rates."""
        return price_of(kind, self._profile)

    def image(self, template: Template, kind: MachineType) -> str:
        """There is no image: the system is that of the server."""
        return "the server"

    def expected_id(self, key: str) -> str | None:
        """The id that `LabCompute.launch` gives to this key."""
        return machine_id(key)

    def _notes(self, kind: MachineType) -> tuple[str, ...]:
        """What the server lacks for that type."""
        if (known := self._facts) is None:
            return ()
        notes = []
        if kind.vcpus > known.cpus:
            notes.append(f"{kind.vcpus} vCPUs asked for, the server has {known.cpus}")
        if kind.memory_gib * GIB > known.memory:
            has = f"{known.memory / GIB:.0f} GiB"
            notes.append(f"{kind.memory_gib:g} GiB of memory asked for, the server has {has}")
        if known.sandbox:
            notes.append(f"programs are not sandboxed there: {known.sandbox}")
        return tuple(notes)


class LabStorageOffer:
    """Implements `storage.model.StorageOffer`: there are no volumes and snapshots yet."""

    def __init__(self, location: str) -> None:
        self.location = location

    def notes(self, kind: VolumeKind, size_gb: int | None) -> tuple[str, ...]:
        """Refuses."""
        raise NotOnServers(f"A volume {NOT_YET}", remediation=ELSEWHERE)

    def gb_month(self, kind: str) -> Micros | None:
        """The disk of a server has no price."""
        return Micros(0)

    def performance_month(
        self, kind: str | None, iops: int | None, throughput: int | None
    ) -> Micros | None:
        """The disk of a server has no price."""
        return Micros(0)

    def expected_id(self, key: str, kind: VolumeKind) -> str | None:
        """There are none."""
        return None

    def no_copies(self, kind: VolumeKind) -> str | None:
        """Why there are no snapshots."""
        return f"a snapshot {NOT_YET}; copy files with `scp` or `rsync`"

    def no_verification(self) -> str | None:
        """Why snapshots cannot be verified."""
        return f"a snapshot {NOT_YET}"

    def no_rollback(self) -> str | None:
        """Why files cannot become those of a snapshot."""
        return f"a snapshot {NOT_YET}"

    def no_copies_elsewhere(self) -> str | None:
        """Why snapshots cannot be copied."""
        return f"a snapshot {NOT_YET}"


def price_of(kind: MachineType, profile: Profile) -> tuple[Micros | None, str]:
    """The hourly price of a machine type by the rates of a profile, and its source."""
    cpu, gigabyte, gpu = profile.cpu_hour, profile.gb_hour, profile.gpu_hour
    if cpu is None and gigabyte is None and gpu is None:
        return None, NO_RATE
    dollars = kind.vcpus * (cpu or 0) + kind.memory_gib * (gigabyte or 0) + kind.gpus * (gpu or 0)
    return Micros(round(dollars * 1_000_000)), "rates of the profile"
