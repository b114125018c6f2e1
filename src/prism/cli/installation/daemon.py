"""`prism daemon …`."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import contextmanager, suppress

from prism.annotations import Any, ArgumentParser, Callable, Iterator, Namespace
from prism.cli.installation.daemon_log import last_lines, new_lines, readable
from prism.cli.installation.daemon_start import (
    daemon_command,
    daemon_info,
    is_listening,
    start_daemon,
)
from prism.cli.output.terminal import say, show_fields, show_json, suggest
from prism.cli.parser import add_flag, no_arguments
from prism.client.daemon import Daemon
from prism.client.errors import DaemonUnreachable
from prism.client.transport.address import DaemonAddress
from prism.client.transport.wire import Wire
from prism.errors import Conflict, Invalid, NotFound, Problem
from prism.home import check_folders_above, check_owner

STOPS_WITHIN = 40.0  # seconds; the daemon waits up to 30 for its requests
STOP_POLL_INTERVAL = 0.05


def _start(args: Namespace) -> None:
    address = DaemonAddress.of_variables()  # of this computer, wherever you are logged in
    if not is_listening(address):
        if address.url:
            raise DaemonUnreachable(
                f"No daemon at {address}",
                details="PRISM_URL names it, so this command does not start it",
                remediation="Unset PRISM_URL, or start it on its own computer",
            )
        start_daemon(address)
    _show_status(args, address)


def _stop(args: Namespace) -> None:
    address = DaemonAddress.of_variables()
    if not is_listening(address):
        return show_json({"message": "No daemon runs"}) if args.json else say("No daemon runs")
    answer = stop_daemon(address, wait=not args.no_wait)
    if args.json:
        show_json(answer)
    else:
        print("The daemon stopped; workspaces stay as they are")


def stop_daemon(address: DaemonAddress, *, wait: bool = True) -> dict[str, Any]:
    """Stop the daemon, and wait until its process has ended; its answer."""
    with _process(address) as runs:
        answer = _request_stop(address)
        until = time.monotonic() + STOPS_WITHIN
        while wait and (is_listening(address) or _is_alive(address) or runs()):
            if time.monotonic() > until:
                raise Conflict(
                    "The daemon still runs",
                    details=f"waited {STOPS_WITHIN:g} s",
                    remediation="See what it does: `prism daemon logs`",
                )
            time.sleep(STOP_POLL_INTERVAL)
    return answer


@contextmanager
def _process(address: DaemonAddress) -> Iterator[Callable[[], bool]]:
    """A function that returns whether the daemon's process still runs."""
    pid = None if address.url else daemon_info(address).get("pid")
    try:
        process = os.pidfd_open(pid) if pid else None
    except (AttributeError, OSError):  # not Linux, or the process is not on this computer
        process = None
    try:
        yield lambda: process is not None and not select.select([process], [], [], 0)[0]
    finally:
        if process is not None:
            os.close(process)


def _request_stop(address: DaemonAddress) -> dict[str, Any]:
    """Ask the daemon to stop; if it does not answer, send SIGTERM if it is local."""
    try:
        answer: dict[str, Any] = Wire(address).call(Daemon.shutdown)
    except Problem:
        pid = None if address.url else daemon_info(address).get("pid")
        if pid is None:
            raise
        os.kill(pid, signal.SIGTERM)
        answer = {"message": f"Process {pid} was told to end"}
    return answer


def _is_alive(address: DaemonAddress) -> bool:
    """Whether the daemon's process still runs; it stops listening long before its end."""
    return not address.url and bool(daemon_info(address))


def _status(args: Namespace) -> None:
    _show_status(args, DaemonAddress.read())


def _show_status(args: Namespace, address: DaemonAddress) -> None:
    answer = Wire(address).call(Daemon.status)
    if args.json:
        return show_json(answer)
    away = {
        f"away: {place['place']}": place["problem"]
        for place in answer.get("places", ())
        if place["problem"]
    }
    counted = f"{answer['total_instances']}, {answer['active_instances']} active"
    if any(place.get("reachable", True) is None for place in answer.get("places", ())):
        counted += " (as before the daemon's start; not all are looked at yet)"
    lacks = {
        f"missing: {place['place']}": ", ".join(place["missing"])
        for place in answer.get("places", ())
        if place.get("missing")
    }
    fields = {
        "status": answer["status"],
        **{f"why {n}": why for n, why in enumerate(answer.get("reasons", ()), 1)},
        "version": answer["version"],
        "up": answer["uptime"],
        "AWS": answer["aws_connectivity"],
        "profiles": answer["active_profiles"],
        "workspaces": counted,
        "address": address.url or daemon_info(address).get("url") or address.page,
        "process": None if address.url else daemon_info(address).get("pid"),
        "socket": None if address.url else address.socket,
        **away,
        **lacks,
    }
    show_fields(fields)
    if lacks:
        suggest("A policy that allows it: `prism aws policy`")
    return None


def _install(args: Namespace) -> None:
    from prism.cli.installation.boot_service import (  # noqa: PLC0415  cold start: `shutil`, `subprocess`
        SECRET_VARIABLES,
        boot_service,
        settings_of,
        write_script,
    )
    from prism.env_file import read_env_file, update_env_file  # noqa: PLC0415  cold start: only here
    from prism.settings import Settings, variable  # noqa: PLC0415  cold start: it brings msgspec

    address = _local_address("Nothing was installed")
    check_owner(address.home)
    check_folders_above(address.home)
    service = boot_service(address.home)
    settings = settings_of(os.environ, {*map(variable, Settings.__struct_fields__)})
    Settings.load(os.environ)  # raises if the daemon would refuse a value
    before = read_env_file(address.home)
    changes = {name: value for name, value in settings.items() if before.get(name) != value}
    if changes:
        update_env_file(address.home, changes)
    write_script(service, daemon_command(), address.log)
    notes = service.install()
    if SECRET_VARIABLES & os.environ.keys():
        notes.append("AWS keys of this shell are not kept: use a profile of `~/.aws` instead")
    if args.json:
        return show_json(
            {"by": service.kind, "where": service.where, "settings": [*changes], "notes": notes}
        )
    print(f"The daemon of {address.home} starts when this computer starts, by {service.where}")
    if changes:
        say(f"These settings of this shell are now in {address.home}/env: {', '.join(changes)}")
    for note in notes:
        say(f"note: {note}")
    return suggest("Which workspaces then start again: `prism workspace update NAME --restart`")


def _uninstall(args: Namespace) -> None:
    removed = remove_boot_services(_local_address("Nothing was removed").home)
    if args.json:
        return show_json({"removed": removed})
    for where in removed:
        print(f"The daemon does not start at boot any more; removed from {where}")
    if not removed:
        say("Nothing starts the daemon of this home at boot")
    return None


def remove_boot_services(home: str, *, dry_run: bool = False) -> list[str]:
    """Remove what starts the daemon of a home at boot; where that was."""
    from prism.cli.installation.boot_service import SCRIPT, installed_services  # noqa: PLC0415  cold start

    services = [*installed_services(home)]
    if not dry_run:
        for service in services:
            service.remove()
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(home, SCRIPT))
    return [service.where for service in services]


def _local_address(failure: str) -> DaemonAddress:
    address = DaemonAddress.of_variables()
    if address.url:
        raise Invalid(
            failure,
            details=f"PRISM_URL names a daemon elsewhere: {address.url}",
            remediation="Unset PRISM_URL, or do this on the daemon's own computer",
        )
    return address


def _logs(args: Namespace) -> None:
    path = DaemonAddress.of_variables().log
    if not os.path.exists(path):
        raise NotFound(
            f"There is no {path}",
            details="it is written once `prism` has started a daemon",
            remediation="Start one: `prism daemon start`",
        )
    lines, end = last_lines(path, args.lines)
    if args.json:
        return show_json({"path": path, "lines": lines})
    for line in lines:
        print(readable(line))
    if args.follow:
        sys.stdout.flush()
        for line in new_lines(path, end):
            print(readable(line), flush=True)
    return None


def _logs_arguments(parser: ArgumentParser) -> None:
    add_flag(parser, "-f", "--follow", help="continue with new lines")
    parser.add_argument("-n", "--lines", type=int, default=50, metavar="N", help="default: 50")


VERBS = {
    "start": (no_arguments, _start),
    "stop": (no_arguments, _stop),
    "status": (no_arguments, _status),
    "install": (no_arguments, _install),
    "uninstall": (no_arguments, _uninstall),
    "logs": (_logs_arguments, _logs),
}
