"""The script that a machine runs at every boot: the steps of one template, in their order.

The markers are in it word for word, so that AWS's double, which only reads the script, can print
them.
"""

import hashlib
import json
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from prism.providers.aws.machine.cloudinit import rstudio
from prism.providers.aws.machine.cloudinit.bases import MINIFORGE
from prism.providers.aws.machine.cloudinit.units import LIBRARY, unit_of
from prism.providers.aws.machine.cloudinit.words import one_line
from prism.providers.aws.machine.cloudinit.worker import Worker
from prism.templates.model import TemplateInvalid

MARK = "prism-boot:"
POST_INSTALL = f"{LIBRARY}/post-install"
MACHINE_FILES = Path(__file__).parent / "agent"


@cache
def shipped(name: str) -> str:
    """The text of a file in `agent`."""
    return (MACHINE_FILES / name).read_text(encoding="utf-8")


def boot_script(worker: Worker) -> str:
    """The whole script."""
    head = f"WORKER={shlex.quote(worker.name)} WORKER_HOME={shlex.quote(worker.home)}"
    return "\n".join([shipped("boot.sh"), head, *_lines(worker), ""])


def post_install(worker: Worker) -> dict[str, str]:
    """The files with the template's own commands, in the order in which they run."""
    commands = enumerate(worker.template.post_install, 1)
    return {
        f"{POST_INSTALL}/{number}": f"{worker.shell(text, f'post_install[{number - 1}]')}\n"
        for number, text in commands
    }


def _lines(worker: Worker) -> Iterator[str]:
    yield _say("begin")
    yield "boot_id"
    yield "hostkey"
    yield from _packages(worker)
    if worker.spec.hibernation and worker.system.keeps_addresses:
        yield _say("kernel")
        yield _step("kernel", "failed kernel", "with_nokaslr")
        yield "restart_for nokaslr"
    if worker.template.family == "gpu":
        yield _say("gpu")
        if worker.system.manager == "apt":
            yield _step("gpu", "failed gpu", "with_gpu")
        yield "gpu_answers"
    yield from _conda(worker)
    yield from _pip(worker)
    if files := post_install(worker):
        yield _say("post-install")
    for number, (path, text) in enumerate(files.items(), 1):
        failed = f"failed post-install {number}"
        command = ("as_worker", "/bin/sh", path)
        yield _step(f"post-install-{number}", failed, *command, made_of=text)
    yield from _services(worker)
    yield _say("ready")


def _packages(worker: Worker) -> Iterator[str]:
    """The commands that install the system's packages: those for Prism, and the template's."""
    system, template = worker.system, worker.template
    requested: list[str] = []
    for manager, names in template.packages.items():
        if manager in {"apt", "dnf"} and names and manager != system.manager:
            raise TemplateInvalid(
                f"{manager} packages cannot be installed on {template.base}",
                details=f"packages.{manager}: {template.base} has {system.manager}",
                remediation="Choose another `base`, or list the packages under "
                f"`{system.manager}`",
            )
        if manager == system.manager:
            requested += [one_line(name, f"packages.{manager}") for name in names]
    needed = [*system.needs, *(system.python_packages if worker.venv else ())]
    if worker.spec.hibernation:
        needed += system.hibernation
    packages = dict.fromkeys([*needed, *(system.groups.get(name, name) for name in requested)])
    program = f"with_{system.manager}"
    yield _say("packages")
    for early in (name for name in packages if name in system.first):
        yield _step(f"packages-{early}", "failed packages", program, early)
    if rest := [name for name in packages if name not in system.first]:
        yield _step("packages", "failed packages", program, *rest)
    if worker.rstudio:
        deb = rstudio.installer(worker.base, system, worker.boot.architecture)
        yield _step("packages-rstudio", "failed packages", "with_rstudio", deb.url, deb.sha256)


def _conda(worker: Worker) -> Iterator[str]:
    if worker.conda is None:
        return
    names = rstudio.conda_packages(worker.template.packages.get("conda", ()))
    channels = dict.fromkeys(name.partition("::")[0] for name in names if "::" in name)
    chosen = [part for channel in ("conda-forge", *channels) for part in ("-c", channel)]
    installer = MINIFORGE[worker.boot.architecture]
    words = [*chosen, *(one_line(name, "packages.conda") for name in names)] if names else []
    yield _say("conda")
    command = ("with_conda", installer.url, installer.sha256, *words)
    yield _step("conda", "failed conda", *command)


def _pip(worker: Worker) -> Iterator[str]:
    if worker.template.package_manager != "pip":
        return
    python = f"{worker.conda}/bin/python" if worker.conda else worker.system.python
    names = [one_line(name, "packages.pip") for name in worker.template.packages.get("pip", ())]
    yield _say("python")
    yield _step("python", "failed python", "with_pip", python, *names)


def _services(worker: Worker) -> Iterator[str]:
    services = worker.template.services
    if not services:
        return
    yield _say("services")
    yield shlex.join(["serve", *(unit_of(name) for name in services)])
    for name, service in services.items():
        if service.health is not None:
            url = one_line(f"http://127.0.0.1:{service.port}{service.health}", "health")
            failed = f"{MARK} failed service {name}"
            yield shlex.join(["answer", failed, unit_of(name), url])


def _say(word: str) -> str:
    return f"say '{MARK} {word}'"


def _step(name: str, failed: str, *command: str, made_of: str = "") -> str:
    definition = json.dumps([name, *command, made_of]).encode()
    digest = hashlib.sha256(definition).hexdigest()[:16]
    return f"step {shlex.quote(name)} {digest} '{MARK} {failed}' {shlex.join(command)}"
