"""Templates, across the wire."""

from __future__ import annotations

import builtins

from prism.client.request import LazyModule, ask
from prism.client.wire import Noun, query, quoted

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from prism.templates import model as templates
else:
    templates = LazyModule("prism.templates.model")

PATH = "/templates"


class Templates(Noun):
    """What you may ask about templates; `name` is a name or a slug."""

    def list(self) -> builtins.list[templates.TemplateItem]:
        """Every template."""
        return ask(self._wire, "GET", PATH, builtins.list[templates.TemplateItem])

    def info(self, name: str) -> templates.TemplateInfo:
        """One template, with what it inherits."""
        return ask(self._wire, "GET", f"{PATH}/{quoted(name)}/info", templates.TemplateInfo)

    def yaml(self, name: str) -> templates.TemplateYaml:
        """One template as its author wrote it, also one that cannot be used."""
        return ask(self._wire, "GET", f"{PATH}/{quoted(name)}/yaml", templates.TemplateYaml)

    def validate(self, *, packages: bool = False) -> templates.Validation:
        """What is wrong with the templates.

        `packages` also asks the package index whether their pip packages exist; that takes
        as long as the index takes.
        """
        wire = self._wire.patient() if packages else self._wire
        path = f"{PATH}/validate" + query(packages="true" if packages else None)
        return ask(wire, "GET", path, templates.Validation)
