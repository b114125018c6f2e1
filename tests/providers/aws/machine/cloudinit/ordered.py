"""Orders of machines: every built-in template, on every base, for both architectures."""

from itertools import product
from typing import get_args

import yaml
from msgspec import structs

from prism.catalog.plan import machine_type
from prism.providers.aws.machine.cloudinit.bases import SYSTEMS
from prism.providers.aws.machine.cloudinit.document import render
from prism.providers.aws.machine.cloudinit.model import Architecture, BootConfig
from prism.providers.aws.machine.cloudinit.tokens import tokens
from prism.templates.model import Template
from prism.templates.service import TemplateService
from prism.templates.store import template_folders
from prism.workspaces.ports import MachineSpec

LIBRARY = {
    template.slug: template
    for template, _ in TemplateService(template_folders(), machines=machine_type).all()
}
LOGINS = {
    "ubuntu-24.04": "ubuntu",
    "ubuntu-22.04": "ubuntu",
    "debian-12": "admin",
    "rocky-9": "rocky",
    "amazon-linux-2023": "ec2-user",
}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH5dzSCyO9WX2Bd0Xw2Hfyb3S3V8Q7k0m6uYb9V1r0kA prism"
PRIVATE = b"-----BEGIN OPENSSH PRIVATE KEY-----"


def template(**fields):
    """A template on Debian with these fields."""
    return Template(**{"name": "Test", "slug": "test", "base": "debian-12", **fields})


def order(template, parameters=None, **more):
    usual = {"key": "ws-1", "name": "demo", "instance_type": "t3.small", "root_gb": 20}
    options = {"template": template, "parameters": parameters or {}, "hibernation": False}
    return MachineSpec(**{**usual, **options, **more})


def boot(order, architecture="x86_64"):
    user = LOGINS[order.template.base or "ubuntu-22.04"]
    secrets = tokens(PRIVATE, order)
    return BootConfig(architecture=architecture, user=user, public_key=KEY, tokens=secrets)


def rendered(template, parameters=None, architecture="x86_64", *, again=False, **more):
    machine_order = order(template, parameters, **more)
    return render(machine_order, boot(machine_order, architecture), again=again)


def files(data):
    """The files that are written on the machine, by path."""
    return {file["path"]: file for file in yaml.safe_load(data.text)["write_files"]}


def moved(template, base):
    """The template on another base, without packages that this base cannot install."""
    managers = {"conda", "pip", SYSTEMS[base].manager}
    packages = {
        manager: names for manager, names in template.packages.items() if manager in managers
    }
    return structs.replace(template, base=base, packages=packages)


def installs_rstudio(template, base, architecture):
    """Whether its packages exist: `rstudio` exists only for apt and x86_64."""
    is_offered = SYSTEMS[base].manager == "apt" and architecture == "x86_64"
    return is_offered or "rstudio" not in template.packages.get("conda", ())


def matrix(stride=1):
    """Each document that a built-in template can become, by a name; every other may hibernate.

    With a stride of 7, each base and architecture, and each template but `r-shiny`.
    """
    every = product(enumerate(LIBRARY.values()), SYSTEMS, enumerate(get_args(Architecture)))
    possible = [
        (template, base, architecture, (number + more) % 2 == 0)
        for (number, template), base, (more, architecture) in every
        if installs_rstudio(template, base, architecture)
    ]
    for template, base, architecture, sleeps in possible[::stride]:
        name = f"{template.slug}-{base}-{architecture}"
        yield name, rendered(moved(template, base), {}, architecture, hibernation=sleeps)
