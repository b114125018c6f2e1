"""The route that tries a lab server before a profile leads to it."""

from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec.structs import replace

from prism.kit.routes import Routes
from prism.profiles.model import ServerCheck, ServerTrial, ServerTrialAnswer
from prism.providers.ssh.model import ServerFacts, parsed
from prism.providers.ssh.provider import LabServers

GIB = 2**30
LEAST_DISK = 5 * GIB


router = Routes("/api/v1/daemon/servers", tags=["daemon"])


@router.post("/try", sync_to_thread=True, status_code=200)
def try_server(
    lab_servers: NamedDependency[LabServers], data: JSONBody[ServerTrial]
) -> ServerTrialAnswer:
    """Log in to a lab server with the daemon's SSH keys, and look what a workspace finds there."""
    hosts, servers = data.host.split(","), dict[str, str]()
    for host in hosts:
        parsed(host)
    checks: list[ServerCheck] = []
    for host in hosts:
        facts, refusal = lab_servers.facts(host, data.accept_host_key)
        first = servers.setdefault(facts.identity, host)
        results = (
            *_needs(facts),
            *_offers(facts, refusal),
            *_spellings(host, first, facts, hosts),
        )
        label = f"{host} " if len(hosts) > 1 else ""
        checks += [replace(check, name=f"{label}{check.name}") for check in results]
    usable = all(check.holds for check in checks if check.required)
    return ServerTrialAnswer(data.host, usable, tuple(checks))


def _spellings(
    host: str, first: str, facts: ServerFacts, hosts: list[str]
) -> tuple[ServerCheck, ...]:
    """Whether the words name another server than those before."""
    if len(hosts) == 1:
        return ()
    same = f"{first} is the same server, by other words; name it once"
    message = same if first != host else f"another server than the others, for {facts.user}"
    return (ServerCheck("server", first == host, message, required=True),)


def _needs(facts: ServerFacts) -> tuple[ServerCheck, ...]:
    """What each workspace needs."""
    free = facts.disk_free / GIB
    return (
        ServerCheck("python", True, f"Python {facts.python}", required=True),
        ServerCheck("disk", facts.disk_free > LEAST_DISK, f"{free:.0f} GiB free in the home"),
        ServerCheck(
            "locks",
            facts.locks,
            "the home has file locks" if facts.locks else "the home's file system has no locks",
            required=True,
        ),
    )


def _offers(facts: ServerFacts, refusal: str) -> tuple[ServerCheck, ...]:
    """What makes workspaces better."""
    return (
        ServerCheck("packages", not refusal, refusal or "packages can be downloaded"),
        ServerCheck(
            "sandbox",
            not facts.sandbox,
            f"none: {facts.sandbox}" if facts.sandbox else "bubblewrap and user namespaces work",
        ),
        ServerCheck(
            "lingering",
            facts.lingers,
            "workspaces run under your own systemd"
            if facts.lingers
            else "your systemd does not outlive a login; workspaces run on their own, unless the "
            "server ends what people leave behind (`KillUserProcesses`)",
        ),
        ServerCheck(
            "cgroup",
            facts.cgroup,
            "memory can be limited"
            if facts.cgroup
            else "no cgroup is delegated: memory is not limited",
        ),
        ServerCheck(
            "gpus",
            bool(facts.gpus),
            f"{len(facts.gpus)}, handed out one by one: {', '.join(facts.gpus)}"
            if facts.gpus
            else "no GPU",
        ),
    )
