"""The order in which a doctor looks: first what all else depends on."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from prism.cli.checks import aws, folder, machine, sandbox, service, variables
from prism.cli.checks.world import Check, Finding, World, examined

EVERYWHERE: tuple[Check, ...] = (
    machine.python,
    machine.command,
    service.version,
    variables.settings,
    variables.who_you_are,
    service.daemon,
    aws.aws_access,
)
HERE: tuple[Check, ...] = (
    machine.uv,
    sandbox.bubblewrap,
    sandbox.isolation,
    sandbox.display,
    machine.memory,
    machine.open_files,
    machine.proc,
    machine.loopback,
    machine.localhost_names,
    folder.home,
    folder.file_system,
    folder.disk,
    folder.inodes,
    folder.unix_socket,
    service.port,
    service.database,
    folder.templates,
    folder.orphans,
    aws.aws_credentials,
)
"""What only matters where the daemon is, which with `PRISM_URL` is somewhere else."""
AROUND: tuple[Check, ...] = (
    folder.clock,
    machine.time_zone,
    machine.proxy,
    machine.ssh,
    machine.browser,
)
AT_ONCE = 8  # checks; some wait for a program, most for nothing
WAITING: tuple[Check, ...] = (sandbox.isolation, sandbox.bubblewrap, machine.uv, machine.ssh)
"""What waits for a program, and needs no daemon: these begin first."""


def rounds(world: World) -> Iterator[Finding]:
    """Everything that was found, in this order, as it is found; no check changes anything."""
    checks = (*EVERYWHERE, *(() if world.place.url else HERE), *AROUND)
    with ThreadPoolExecutor(AT_ONCE) as pool:

        def begun(check: Check) -> Future[list[Finding]]:
            return pool.submit(lambda: [*examined(check, world)])

        early = {check: begun(check) for check in WAITING if check in checks}
        world = world.asked()
        for found in [early.get(check) or begun(check) for check in checks]:
            yield from found.result()
