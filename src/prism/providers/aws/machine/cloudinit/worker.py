"""The account that runs services on a machine: its home, its packages, its environment."""

import json
import shlex
from functools import cached_property

from prism.agent.protocol import ServedByMachine, ServedService
from prism.providers.aws.machine.cloudinit import rstudio
from prism.providers.aws.machine.cloudinit.bases import SYSTEMS, BaseSystem
from prism.providers.aws.machine.cloudinit.model import BootConfig
from prism.providers.aws.machine.cloudinit.words import (
    PlaceholderFiller,
    environment_line,
    export_line,
    one_line,
)
from prism.templates.checks import SLUG, USER_NAME, VARIABLE_NAME
from prism.templates.model import DEFAULT_BASE, TemplateInvalid
from prism.workspaces.ports import MachineSpec

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RESERVED_USERS = {"root", "daemon", "bin", "sys", "nobody", "sshd", "sudo"}


class Worker:
    """The account of one machine, and the environment of its programs."""

    def __init__(self, spec: MachineSpec, boot: BootConfig) -> None:
        template = spec.template
        self.spec, self.boot, self.template = spec, boot, template
        self.base = template.base or DEFAULT_BASE
        self.system: BaseSystem = SYSTEMS[self.base]
        self.name = (template.users or (boot.user,))[-1]
        for name in (*template.users, boot.user):
            if not USER_NAME.fullmatch(name) or name in RESERVED_USERS:
                raise _invalid(f"users: {name!r} cannot be the name of an account")
        for name in template.services:
            if not SLUG.fullmatch(name):
                raise _invalid(f"services: {name!r} must be a-z, 0-9 and single hyphens inside")
        defaults = {name: parameter.default for name, parameter in template.parameters.items()}
        parameters = {n: v for n, v in {**defaults, **spec.parameters}.items() if v is not None}
        self._filler = PlaceholderFiller(spec.name, self.home, parameters)

    @property
    def home(self) -> str:
        """Its home."""
        return f"/home/{self.name}"

    @property
    def conda(self) -> str | None:
        """The folder of conda, if the template has conda packages."""
        wants = "conda" in self.template.packages or self.template.package_manager == "conda"
        return f"{self.home}/miniconda3" if wants else None

    @property
    def venv(self) -> str | None:
        """The virtual environment for pip; None if conda's environment is used.

        Unless pip is the template's main package manager, `pip` lists packages for local
        workspaces only.
        """
        wants = self.template.package_manager == "pip" and self.conda is None
        return f"{self.home}/.venv" if wants else None

    @property
    def rstudio(self) -> bool:
        """Whether the template has RStudio Server."""
        return rstudio.PACKAGE in self.template.packages.get("conda", ())

    @cached_property
    def _own_variables(self) -> dict[str, str]:
        environment = self.conda or self.venv
        first = [f"{environment}/bin"] if environment else []
        variables = {"PATH": ":".join([*first, f"{self.home}/.local/bin", SYSTEM_PATH])}
        if environment:
            variables["CONDA_PREFIX" if self.conda else "VIRTUAL_ENV"] = environment
        return variables

    def profile(self) -> str:
        """The environment of all shells but root's, for `/etc/profile.d`."""
        variables = self._fill(self.template.environment, "environment") | self._own_variables
        lines = [export_line(name, value) for name, value in sorted(variables.items())]
        body = "".join(f"  {line}\n" for line in lines)
        return f'if [ "$(id -u)" -ne 0 ]; then\n{body}fi\n'

    def environment(self, name: str) -> str:
        """The `EnvironmentFile` of a service, with its token."""
        service = self.template.services[name]
        declared = {**self.template.environment, **service.environment}
        field = f"services.{name}.environment"
        token = self.boot.tokens[name] if self.tells_token(name) else ""
        variables = self._fill(declared, field, service.port, token)
        variables = {"LANG": "C.UTF-8"} | variables | self._own_variables
        if self.asks_password(name):
            variables[rstudio.PASSWORD] = self.boot.tokens[name]
        return "".join(f"{environment_line(*pair)}\n" for pair in sorted(variables.items()))

    def tells_token(self, name: str) -> bool:
        """Whether the template passes the token to a service, which then requires it."""
        service = self.template.services[name]
        declared = {**self.template.environment, **service.environment}
        return any("{token}" in value for value in declared.values())

    def asks_password(self, name: str) -> bool:
        """Whether a service asks for this account's name, and its token as the password."""
        return self.rstudio and rstudio.is_server(self._command_words(name))

    def served(self) -> str:
        """The services of the machine, as JSON."""
        services: dict[str, ServedService] = {
            name: {
                "port": service.port,
                "token": self.tells_token(name),
                "password": self.asks_password(name),
                "command": shlex.join(self.command(name)),
            }
            for name, service in self.template.services.items()
        }
        served: ServedByMachine = {"user": self.name, "home": self.home, "services": services}
        return json.dumps(served) + "\n"

    def command(self, name: str) -> list[str]:
        """A service's command as words."""
        words = self._command_words(name)
        if self.conda and self.asks_password(name):
            return rstudio.command(words, self.template.services[name].port, self.conda)
        return words

    def _command_words(self, name: str) -> list[str]:
        """The words of the template's command; it is split before values are filled in."""
        service = self.template.services[name]
        field = f"services.{name}.command"
        if "{token}" in service.command:
            raise _invalid(
                f"{field}: shows {{token}} to everybody in the process list; pass it in "
                "`environment`"
            )
        try:
            words = shlex.split(service.command)
        except ValueError as error:
            raise _invalid(f"{field}: cannot be split into words: {error}") from None
        return [one_line(self._filler.fill(word, service.port), field) for word in words]

    def shell(self, text: str, field: str) -> str:
        """A command of the template, for the worker's shell."""
        return self._filler.shell(text, field)

    def _fill(
        self, declared: dict[str, str], field: str, port: int | None = None, token: str = ""
    ) -> dict[str, str]:
        for name in declared:
            if not VARIABLE_NAME.fullmatch(name):
                raise _invalid(f"{field}: {name!r} cannot be the name of a variable")
        return {
            name: one_line(self._filler.fill(text, port, token), f"{field}.{name}")
            for name, text in declared.items()
        }


def _invalid(details: str) -> TemplateInvalid:
    return TemplateInvalid(
        "the template cannot be used on a cloud machine",
        details=details,
        remediation="Correct the template; `prism template validate` checks it",
    )
