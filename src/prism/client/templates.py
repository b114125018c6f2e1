"""Templates, across the wire."""

import builtins

from prism.client.decoding import ask
from prism.client.wire import Wire, query, quoted
from prism.templates.model import TemplateInfo, TemplateItem, TemplateYaml, Validation

PATH = "/templates"


class Templates:
    """What you may ask about templates; `name` is a name or a slug."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> builtins.list[TemplateItem]:
        """Every template."""
        return ask(self._wire, "GET", PATH, builtins.list[TemplateItem])

    def info(self, name: str) -> TemplateInfo:
        """One template, with what it inherits."""
        return ask(self._wire, "GET", f"{PATH}/{quoted(name)}/info", TemplateInfo)

    def yaml(self, name: str) -> TemplateYaml:
        """One template as its author wrote it, also one that cannot be used."""
        return ask(self._wire, "GET", f"{PATH}/{quoted(name)}/yaml", TemplateYaml)

    def validate(self, *, packages: bool = False) -> Validation:
        """What is wrong with the templates.

        `packages` also asks the package index whether their pip packages exist; that takes
        as long as the index takes.
        """
        wire = self._wire.patient() if packages else self._wire
        path = f"{PATH}/validate" + query(packages="true" if packages else None)
        return ask(wire, "GET", path, Validation)
