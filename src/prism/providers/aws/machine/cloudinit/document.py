"""The whole user data of a machine: accounts, files and what to start."""

import gzip
import hashlib
import json
import re
from typing import Any

import yaml

from prism.providers.aws.machine.cloudinit.model import LIMIT, BootConfig, UserData
from prism.providers.aws.machine.cloudinit.script import (
    POST_INSTALL,
    boot_script,
    post_install,
    shipped,
)
from prism.providers.aws.machine.cloudinit.stopping import stop_program
from prism.providers.aws.machine.cloudinit.units import (
    BOOT,
    LIBRARY,
    SECRETS,
    SERVICES,
    TTL,
    TTL_TIMER,
    UNITS,
    WOKEN,
    secrets_of,
    service_unit,
    unit_of,
)
from prism.providers.aws.machine.cloudinit.words import one_line
from prism.providers.aws.machine.cloudinit.worker import Worker
from prism.templates.model import TemplateInvalid
from prism.workspaces.ports import MachineOrder

HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SEMAPHORES = "/var/lib/cloud/instance/sem"
# Also what an earlier document has noted as done, else going back to that one would do nothing;
# this one is noted by `cloud-init-per` after the command.
REMOVE_OLD_FILES = f"""\
systemctl stop --no-block 'prism-service-*.service'
rm -f {UNITS}/prism-service-*.service {UNITS}/multi-user.target.wants/prism-service-*.service
rm -f {SECRETS}/*.env {POST_INSTALL}/* {SEMAPHORES}/config_write_files
rm -f {SEMAPHORES}/bootper.prism_*
true
"""
SUDO = "ALL=(ALL) NOPASSWD:ALL"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as people write them."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def render(order: MachineOrder, boot: BootConfig, *, again: bool = False) -> UserData:
    """The deterministic user data of an order; `again` if the machine booted with other data."""
    worker = Worker(order, boot)
    files = _files(worker)
    config = {**_machine(worker), "write_files": files, "runcmd": _commands(order)}
    if again:
        config = {"bootcmd": [_write_files_again(files)], **config}
    said = yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)
    text = f"#cloud-config\n{said}"
    gzipped = gzip.compress(text.encode(), 9, mtime=0)
    if len(gzipped) > LIMIT:
        raise _too_long(worker, len(gzipped))
    return UserData(text, gzipped)


def _machine(worker: Worker) -> dict[str, Any]:
    """Its name and its accounts: all may be entered with the key, none with a password."""
    key = one_line(worker.boot.public_key.strip(), "the public key")
    name = worker.order.name
    host = {"hostname": name, "manage_etc_hosts": "localhost"} if HOST.fullmatch(name) else {}
    accounts = [
        {
            "name": account,
            "shell": "/bin/bash",
            "lock_passwd": True,
            "ssh_authorized_keys": [key],
            **({"sudo": SUDO} if account == worker.name else {}),
        }
        for account in dict.fromkeys(worker.template.users)
        if account != worker.boot.user
    ]
    return {
        **host,
        "ssh_pwauth": False,
        "disable_root": True,
        "ssh_authorized_keys": [key],
        "users": ["default", *accounts],
    }


def _files(worker: Worker) -> list[dict[str, str]]:
    files = [
        _file(f"{LIBRARY}/boot", boot_script(worker), "0755"),
        _file(f"{LIBRARY}/ttl", shipped("ttl.py"), "0755"),
        _file("/etc/profile.d/prism.sh", worker.profile()),
        _file(f"{UNITS}/prism-boot.service", BOOT),
        _file(f"{UNITS}/prism-ttl.service", TTL),
        _file(f"{UNITS}/prism-ttl.timer", TTL_TIMER),
    ]
    if worker.order.spot:  # of others it is documented that powering off stops them
        files.append(_file(f"{LIBRARY}/stop", stop_program(), "0755"))
    if worker.order.hibernation:
        files.append(_file(f"{UNITS}/prism-woken.service", WOKEN))
    files += [_file(path, text) for path, text in post_install(worker).items()]
    files.append(_file(SERVICES, worker.served()))
    for name in worker.template.services:
        files.append(_file(f"{UNITS}/{unit_of(name)}", service_unit(worker, name)))
        files.append(_file(secrets_of(name), worker.environment(name), "0600"))
    return files


def _file(path: str, content: str, permissions: str = "0644") -> dict[str, str]:
    return {"path": path, "permissions": permissions, "content": content}


def _commands(order: MachineOrder) -> list[list[str]]:
    """What the first boot starts; later ones start it by themselves."""
    lasting = ["prism-boot.service", *(["prism-woken.service"] if order.hibernation else [])]
    return [
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "--now", "prism-ttl.timer"],
        ["systemctl", "enable", *lasting],
        ["systemctl", "start", "--no-block", "prism-boot.service"],
    ]


def _write_files_again(files: list[dict[str, str]]) -> list[str]:
    """A command that has cloud-init write the files once more, although it knows the instance.

    cloud-init asks EC2 for the user data at each boot, and runs `bootcmd` at each boot, before
    `write_files`, which it runs once an instance: it has run if its semaphore is there. The
    services of the old document are taken away first; the boot script enables the new ones.
    """
    digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
    return ["cloud-init-per", "instance", f"prism-{digest}", "sh", "-c", REMOVE_OLD_FILES]


def _too_long(worker: Worker, size: int) -> TemplateInvalid:
    template = worker.template
    parts = {f"post_install[{n}]": text for n, text in enumerate(template.post_install)}
    parts |= {f"services.{name}": service.command for name, service in template.services.items()}
    parts |= {
        f"packages.{manager}": " ".join(names) for manager, names in template.packages.items()
    }
    parts["environment"] = " ".join(template.environment.values())
    longest = sorted(parts, key=lambda it: len(parts[it]), reverse=True)[:2]
    told = " and ".join(f"`{part}` ({len(parts[part].encode()):,} bytes)" for part in longest)
    return TemplateInvalid(
        f"the template's user data is {size - LIMIT:,} bytes too long for EC2",
        details=f"{size:,} bytes compressed, of which EC2 takes {LIMIT:,}",
        remediation=f"Shorten {told}: have long texts fetched by a command instead",
    )
