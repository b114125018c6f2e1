"""Runs all checks; those on which others depend come first."""

import threading
from collections.abc import Iterator

from prism.cli.checks import aws, folder, machine, sandbox, service, variables
from prism.cli.checks.context import Check, CheckContext, Finding, run_check
from prism.errors import Problem

EVERYWHERE: tuple[Check, ...] = (
    machine.python,
    machine.command,
    service.version,
    variables.settings,
    variables.who_you_are,
    service.daemon,
    aws.aws_access,
    service.lab_servers,
)
LOCAL_CHECKS: tuple[Check, ...] = (
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
    service.start_at_boot,
    service.public_address,
    service.database,
    folder.templates,
    folder.orphans,
    aws.aws_credentials,
)
"""Checks of the daemon's computer, which with `PRISM_URL` is another one."""
AROUND: tuple[Check, ...] = (
    folder.clock,
    machine.time_zone,
    machine.proxy,
    machine.ssh,
    machine.browser,
)
SLOW_CHECKS: tuple[Check, ...] = (sandbox.isolation, sandbox.bubblewrap, machine.uv, machine.ssh)
"""Checks that wait for a program and need no daemon: they start first."""


def run_checks(context: CheckContext) -> Iterator[Finding]:
    """The findings of all checks in order, each as soon as it is known; changes nothing."""
    checks = (*EVERYWHERE, *(() if context.address.url else LOCAL_CHECKS), *AROUND)
    early = {check: CheckThread(check, context) for check in SLOW_CHECKS if check in checks}
    context = context.asked()
    for begun in [early.get(check) or CheckThread(check, context) for check in checks]:
        yield from begun.result()


class CheckThread:
    """A check in its own thread; an executor would import `logging`."""

    def __init__(self, check: Check, context: CheckContext) -> None:
        self._check, self._context = check, context
        self._findings: list[Finding] | None = None
        self._problem: Problem | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._findings = [*run_check(self._check, self._context)]
        except Problem as problem:  # anything else is a bug, which the thread prints
            self._problem = problem

    def result(self) -> list[Finding]:
        """The findings, after the check has ended."""
        self._thread.join()
        if self._findings is None:
            raise self._problem or RuntimeError(f"the check {self._check.__name__} has failed")
        return self._findings
