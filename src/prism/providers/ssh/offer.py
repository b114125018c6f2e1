"""Checks, notes and prices of workspaces, volumes and snapshots on a lab server."""

from collections.abc import Mapping, Sequence

from prism.agent.machine.slots import NoRoom, choose
from prism.catalog.model import MachineType
from prism.errors import ValidationFailed
from prism.kit.money import Micros
from prism.profiles.model import Profile
from prism.profiles.providers import LAB_SERVER, TRAITS
from prism.providers.ssh.compute import machine_id
from prism.providers.ssh.model import KnownServer, NotOnServers, ServerFacts
from prism.providers.supervised import limits_of
from prism.storage.model import VolumeKind
from prism.templates.model import Template
from prism.templates.plan import local_refusal, runs_locally
from prism.workspaces.model import LaunchRequest, Workspace
from prism.workspaces.ports import ProviderRefused

GIB = 2**30
NO_RATE = "no rate set"
NOT_YET = "is not there yet on lab servers"
ELSEWHERE = "Launch it on this computer (`--profile local`) or on AWS, which can"


class LabOffer:
    """Implements `workspaces.model.Offer`, for the servers of one profile."""

    provider: str = LAB_SERVER
    region = "server"

    def __init__(self, profile: Profile, servers: Sequence[KnownServer]) -> None:
        """`servers` are those of the profile; its region names one of them, or none.

        `location` and `region` are those of the first, until `accept` has chosen one.
        """
        named = [server for server in servers if server.host == profile.region]
        self._profile, self._servers = profile, named or [*servers]
        self._settle_on(self._servers[0])

    def _settle_on(self, server: KnownServer) -> None:
        self.location, self.region, self._facts = server.location, server.host, server.facts

    def accept(
        self, template: Template, kind: MachineType, request: LaunchRequest
    ) -> tuple[str, ...]:
        """Notes on what differs from the request; raises if it cannot run there."""
        if reasons := runs_locally(template, ()):
            raise local_refusal(template, reasons)
        if request.volumes:
            raise NotOnServers(f"Attaching volumes {NOT_YET}", remediation=ELSEWHERE)
        if request.open_ports or request.spot:
            option = "open ports" if request.open_ports else "spot"
            raise NotOnServers(
                f"A lab server has no {option}",
                details="its ports are reached through SSH, and it is not rented",
                remediation="Launch it without that option",
            )
        server = self._choose(kind, request)
        self._settle_on(server)
        runs_on = (f"it runs on {server.host}",) if len(self._servers) > 1 else ()
        return (*runs_on, *self._notes(kind), *_open_services(template, server.facts))

    def resize(self, workspace: Workspace, kind: MachineType) -> tuple[str, ...]:
        """Notes on what is not enforced; raises if it needs a GPU that the server has not."""
        [server, *_] = self._servers
        if kind.gpus and server.room and server.room.get("gpus") == []:
            raise _without_gpu(kind, server)
        return (*self._notes(kind), *_unenforced(server.facts))

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

    def _choose(self, kind: MachineType, request: LaunchRequest) -> KnownServer:
        """The server with most room; raises what each lacks if none has room."""
        hosts = [server.host for server in self._servers]
        if request.region not in {None, TRAITS[LAB_SERVER].region, *hosts}:
            raise ValidationFailed.of(
                ("region", f"is no server of the profile: {', '.join(hosts)}"),
            )
        limits, refusals = limits_of(kind), []
        fitting: list[KnownServer] = []
        for server in self._servers:
            try:
                if not _holds(server, request.name):
                    _require_room(server, kind, limits)
                fitting.append(server)
            except (ValidationFailed, ProviderRefused) as refusal:
                refusals.append(refusal)
        if fitting:
            return max(fitting, key=lambda server: _preference(server, request.name))
        if len(refusals) == 1:
            raise refusals[0]
        raise ProviderRefused(
            f"None of {', '.join(hosts)} has room for it",
            details="; ".join(
                ": ".join(filter(None, (refusal.message, refusal.details))) for refusal in refusals
            ),
            remediation="Stop a workspace there, or launch a smaller one",
        )

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


def _holds(server: KnownServer, name: str) -> bool:
    """Whether a workspace of that name has its slot there already."""
    return server.room is not None and any(
        holder["name"] == name for holder in server.room["holders"]
    )


def _preference(server: KnownServer, name: str) -> tuple[bool, bool, int, int]:
    """The more, the better: where it is already, where somebody answers, where most is free."""
    if (room := server.room) is None:
        return (False, not server.is_away, 0, 0)
    holders = room["holders"]
    held = {gpu for holder in holders for gpu in holder["gpus"]}
    free = [g for g in room.get("gpus", []) if not g["is_used"] and g["id"] not in held]
    memory = room["memory_mb"] - sum(holder["memory_mb"] for holder in holders)
    return (_holds(server, name), not server.is_away, len(free), memory)


def _require_room(server: KnownServer, kind: MachineType, limits: Mapping[str, int]) -> None:
    """Refuse what does not fit now; what is unknown is no reason to refuse."""
    if (room := server.room) is None or (kind.gpus and "gpus" not in room):
        return
    if kind.gpus and not room["gpus"]:
        raise _without_gpu(kind, server)
    try:
        choose(room, limits)
    except NoRoom as error:
        raise ProviderRefused(
            f"{server.host}: {error}",
            details=error.held,
            remediation="Stop a workspace there, or launch a smaller one",
        ) from error


def _without_gpu(kind: MachineType, server: KnownServer) -> ValidationFailed:
    return ValidationFailed.of(
        ("instance_type", f"{kind.name} has a GPU and {server.host} has none"),
        remediation="Use `--instance-type t3.xlarge` for one without",
    )


def _open_services(template: Template, facts: ServerFacts | None) -> tuple[str, ...]:
    """Which services every user of the server could use, as they have no network of their own."""
    if facts is None or not facts.sandbox:
        return ()
    shared = {**template.environment}
    names = [
        name
        for name, service in template.services.items()
        if not any("{token}" in text for text in {**shared, **service.environment}.values())
    ]
    if not names:
        return ()
    return (f"every user of the server can use {', '.join(names)}, which asks for no token",)


def _unenforced(facts: ServerFacts | None) -> tuple[str, ...]:
    """Which limits of a size are only counted there."""
    notes = ["the number of CPUs is counted, and not enforced"]
    if facts is not None and not facts.cgroup:
        notes.append("memory is counted, and not enforced: no cgroup is delegated there")
    return tuple(notes)


def price_of(kind: MachineType, profile: Profile) -> tuple[Micros | None, str]:
    """The hourly price of a machine type by the rates of a profile, and its source."""
    cpu, gigabyte, gpu = profile.cpu_hour, profile.gb_hour, profile.gpu_hour
    if cpu is None and gigabyte is None and gpu is None:
        return None, NO_RATE
    dollars = kind.vcpus * (cpu or 0) + kind.memory_gib * (gigabyte or 0) + kind.gpus * (gpu or 0)
    return Micros(round(dollars * 1_000_000)), "rates of the profile"
