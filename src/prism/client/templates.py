"""Templates, across the wire."""

import builtins

from prism.client.typed import ask
from prism.client.wire import Wire, quoted
from prism.templates.model import TemplateInfo, TemplateItem, Validation

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

    def validate(self) -> Validation:
        """What is wrong with the templates."""
        return ask(self._wire, "GET", f"{PATH}/validate", Validation)
