"""The structs of templates, and how the API shows them."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct

from prism.errors import Invalid, NotFound


class TemplateNotFound(NotFound, code="TEMPLATE_NOT_FOUND"):
    """There is no template with that name."""


class TemplateInvalid(Invalid, code="TEMPLATE_INVALID"):
    """The template cannot be used."""


Port = Annotated[int, Meta(ge=1, le=65535)]
Size = Literal["XS", "S", "M", "L", "XL"]
Family = Literal["general", "memory", "compute", "gpu"]
Base = Literal["ubuntu-24.04", "ubuntu-22.04", "debian-12", "rocky-9", "amazon-linux-2023"]
# Ubuntu, "Release cycle" (standard support); Debian Wiki, "LTS"; Rocky Linux, "Release and Version
# Guide"; Amazon Linux 2023 User Guide, "Release cadence".
UPDATES_UNTIL: Mapping[Base, date] = {
    "ubuntu-24.04": date(2029, 4, 30),
    "ubuntu-22.04": date(2027, 4, 30),
    "debian-12": date(2028, 6, 30),
    "rocky-9": date(2032, 5, 31),
    "amazon-linux-2023": date(2029, 6, 30),
}
"""Until when the publisher of a system gives it security updates without a contract."""
DEFAULT_BASE: Base = "ubuntu-24.04"  # decision 049
Manager = Literal["apt", "dnf", "conda", "pip"]
Complexity = Literal["simple", "intermediate", "advanced"]
Scalar = str | int | float | bool
Filled = Annotated[str, Meta(min_length=1)]


class Service(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that a workspace keeps running and people connect to."""

    command: Annotated[
        Filled,
        Meta(
            description="Split as a shell splits words. Knows {port}, {token}, {home}, {name} and "
            "{parameters.NAME}. Everybody can read it in the process list: hand {token} over "
            "in `environment`."
        ),
    ]
    port: Annotated[
        Port,
        Meta(description="The port on a cloud machine; a local workspace gets a free port."),
    ]
    health: Annotated[
        str | None, Meta(description="A path that answers without a login once it is ready.")
    ] = None
    requires: Annotated[
        tuple[Filled, ...],
        Meta(description="Programs that must be on PATH: what no package of the template brings."),
    ] = ()
    environment: Annotated[
        dict[str, str],
        Meta(description="Its own variables; values know what `command` knows."),
    ] = {}
    description: Annotated[str, Meta(description="One line for people.")] = ""


class TemplateParameter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that a launch may set; without a default it must."""

    type: Annotated[
        Literal["string", "integer", "number", "boolean"], Meta(description="What it holds.")
    ]
    description: Annotated[str, Meta(description="One line for people.")] = ""
    default: Annotated[Scalar | None, Meta(description="Used if the launch sets none.")] = None
    choices: Annotated[
        tuple[str | int | float, ...], Meta(description="The only values allowed.")
    ] = ()
    minimum: Annotated[float | None, Meta(description="The lowest integer or number.")] = None
    maximum: Annotated[float | None, Meta(description="The highest integer or number.")] = None
    pattern: Annotated[
        str | None, Meta(description="A regular expression that a whole string must match.")
    ] = None


class Template(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A description of a workspace: packages, users, services, and the size of its machine."""

    name: Annotated[
        str, Meta(min_length=1, max_length=200, description="Its name: printable, without `/`.")
    ]
    slug: Annotated[
        str, Meta(description="A short name to type; made from `name` if it is missing.")
    ] = ""
    description: Annotated[str, Meta(description="One line for people.")] = ""
    inherits: Annotated[
        tuple[str, ...],
        Meta(description="Names or slugs of parents, merged left to right, then this file."),
    ] = ()
    base: Annotated[
        Base | None, Meta(description="The system of a cloud machine; not used locally.")
    ] = None
    package_manager: Annotated[
        Manager | None, Meta(description="Which of `packages` are the main ones.")
    ] = None
    packages: Annotated[
        dict[Manager, tuple[Filled, ...]],
        Meta(
            description="Packages by manager. `pip` beside another manager lists the equivalents "
            "that a local workspace gets instead; an empty list says that it needs none."
        ),
    ] = {}
    users: Annotated[
        tuple[Filled, ...],
        Meta(description="Accounts on a cloud machine; services run as the last one."),
    ] = ()
    services: Annotated[
        dict[str, Service], Meta(description="What people connect to, by name.")
    ] = {}
    ports: Annotated[
        tuple[Port, ...], Meta(description="Ports a cloud machine may be reached on.")
    ] = ()
    parameters: Annotated[
        dict[str, TemplateParameter], Meta(description="What a launch may set, by name.")
    ] = {}
    environment: Annotated[
        dict[str, str], Meta(description="Variables of every service and shell.")
    ] = {}
    post_install: Annotated[
        tuple[Filled, ...],
        Meta(description="Shell commands run once, in order, after the packages are there."),
    ] = ()
    root_gb: Annotated[
        int, Meta(ge=8, le=16384, description="The root disk of a cloud machine, in GB.")
    ] = 20
    size: Annotated[
        Size | None, Meta(description="The size if the launch names none; by default M.")
    ] = None
    family: Annotated[Family, Meta(description="The kind of its machine.")] = "general"
    complexity: Annotated[Complexity, Meta(description="How much one must know to use it.")] = (
        "simple"
    )
    category: Annotated[str, Meta(description="The group it is listed under.")] = "General"
    icon: Annotated[str, Meta(max_length=16, description="An emoji.")] = ""
    troubleshooting: Annotated[str, Meta(description="What to try when it does not work.")] = ""
    idle_profile: Annotated[
        str | None, Meta(description="The idle profile of its workspaces.")
    ] = None


class TemplateIssue(Struct, frozen=True):
    """One mistake in a template, and its place: `file:line: field`."""

    check: str
    level: Literal["error", "warning"]
    message: str
    where: str


class TemplateItem(Struct, frozen=True, kw_only=True):
    """A template as the reference's list shows it, and a little more."""

    name: str
    description: str
    package_manager: str | None
    packages: tuple[str, ...]
    users: tuple[str, ...]
    services: tuple[str, ...]
    ports: tuple[int, ...]
    validation_status: Literal["validated", "invalid"]
    slug: str
    category: str
    complexity: Complexity
    icon: str
    base: str | None
    size: Size | None
    family: Family
    root_gb: int
    parameters: dict[str, TemplateParameter]
    idle_profile: str | None
    runs_locally: bool
    local_reasons: tuple[str, ...]
    source: Literal["built-in", "user"]


class TemplateInfo(Struct, frozen=True, kw_only=True):
    """One template with all that it inherits, as the API shows it."""

    name: str
    inherits: tuple[str, ...]
    resolved_packages: tuple[str, ...]
    resolved_users: tuple[str, ...]
    resolved_ports: tuple[int, ...]
    dependency_chain: tuple[str, ...]
    validation_status: Literal["validated", "invalid"]
    troubleshooting_guide: str
    slug: str
    description: str
    file: str
    source: Literal["built-in", "user"]
    runs_locally: bool
    local_reasons: tuple[str, ...]
    base: Base
    base_updates_until: date
    resolved: Template


class TemplateYaml(Struct, frozen=True, kw_only=True):
    """A template's file as its author wrote it; bytes that are not UTF-8 are replaced."""

    name: str
    file: str
    source: Literal["built-in", "user"]
    yaml: str


class TemplateValidation(Struct, frozen=True, kw_only=True):
    """The result of the checks of one file; `passed` names the checks without a mistake."""

    template: str
    status: Literal["valid", "invalid"]
    checks_passed: int
    issues: tuple[TemplateIssue, ...]
    file: str
    passed: tuple[str, ...]


class ValidationReport(Struct, frozen=True, kw_only=True):
    """The results of the checks of all files; `errors` are the errors, in words."""

    total_templates: int
    validated: int
    errors: tuple[str, ...]
    validation_results: tuple[TemplateValidation, ...]
