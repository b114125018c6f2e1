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
from prism.workspaces.ports import MachineSpec

HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SEMAPHORES = "/var/lib/cloud/instance/sem"
# This also removes the semaphores of earlier documents, so that a later change back has an effect;
# `cloud-init-per` writes that of this document after the command.
REMOVE_OLD_FILES = f"""\
systemctl stop --no-block 'prism-service-*.service'
rm -f {UNITS}/prism-service-*.service {UNITS}/multi-user.target.wants/prism-service-*.service
rm -f {SECRETS}/*.env {POST_INSTALL}/* {SEMAPHORES}/config_write_files
rm -f {SEMAPHORES}/bootper.prism_*
true
"""
SUDO = "ALL=(ALL) NOPASSWD:ALL"


class _Dumper(yaml.SafeDumper):
    """Writes texts with several lines as YAML blocks (`|`)."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def render(spec: MachineSpec, boot: BootConfig, *, again: bool = False) -> UserData:
    """The same user data for the same spec; `again` if the machine booted with other data."""
    worker = Worker(spec, boot)
    files = _file_entries(worker)
    config = {**_accounts(worker), "write_files": files, "runcmd": _boot_commands(spec)}
    if again:
        config = {"bootcmd": [_write_files_again(files)], **config}
    body = yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)
    text = f"#cloud-config\n{body}"
    gzipped = gzip.compress(text.encode(), 9, mtime=0)
    if len(gzipped) > LIMIT:
        raise _too_long(worker, len(gzipped))
    return UserData(text, gzipped)


def _accounts(worker: Worker) -> dict[str, Any]:
    """The host name and the accounts, which log in with the key and have no password."""
    key = one_line(worker.boot.public_key.strip(), "the public key")
    name = worker.spec.name
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


def _file_entries(worker: Worker) -> list[dict[str, str]]:
    files = [
        _file_entry(f"{LIBRARY}/boot", boot_script(worker), "0755"),
        _file_entry(f"{LIBRARY}/ttl", shipped("ttl.py"), "0755"),
        _file_entry("/etc/profile.d/prism.sh", worker.profile()),
        _file_entry(f"{UNITS}/prism-boot.service", BOOT),
        _file_entry(f"{UNITS}/prism-ttl.service", TTL),
        _file_entry(f"{UNITS}/prism-ttl.timer", TTL_TIMER),
    ]
    if worker.spec.spot:  # other machines are stopped by powering off, as AWS documents
        files.append(_file_entry(f"{LIBRARY}/stop", stop_program(), "0755"))
    if worker.spec.hibernation:
        files.append(_file_entry(f"{UNITS}/prism-woken.service", WOKEN))
    files += [_file_entry(path, text) for path, text in post_install(worker).items()]
    files.append(_file_entry(SERVICES, worker.served()))
    for name in worker.template.services:
        files.append(_file_entry(f"{UNITS}/{unit_of(name)}", service_unit(worker, name)))
        files.append(_file_entry(secrets_of(name), worker.environment(name), "0600"))
    return files


def _file_entry(path: str, content: str, permissions: str = "0644") -> dict[str, str]:
    return {"path": path, "permissions": permissions, "content": content}


def _boot_commands(spec: MachineSpec) -> list[list[str]]:
    """The commands of the first boot; later boots need none."""
    lasting = ["prism-boot.service", *(["prism-woken.service"] if spec.hibernation else [])]
    return [
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "--now", "prism-ttl.timer"],
        ["systemctl", "enable", *lasting],
        ["systemctl", "start", "--no-block", "prism-boot.service"],
    ]


def _write_files_again(files: list[dict[str, str]]) -> list[str]:
    """A command that makes cloud-init write the files once more on a known instance.

    At each boot, cloud-init reads the user data and runs `bootcmd`. Then it runs `write_files`,
    but only once for an instance, unless its semaphore is missing. The command first removes the
    services of the old document; the boot script enables the new ones.
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
    listing = " and ".join(f"`{part}` ({len(parts[part].encode()):,} bytes)" for part in longest)
    return TemplateInvalid(
        f"the template's user data is {size - LIMIT:,} bytes too long for EC2",
        details=f"{size:,} bytes compressed, of which EC2 takes {LIMIT:,}",
        remediation=f"Shorten {listing}: have long texts fetched by a command instead",
    )
