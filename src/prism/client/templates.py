"""Client methods for templates."""

from __future__ import annotations

import builtins

from prism.client.models import templates
from prism.client.transport.request import Noun
from prism.client.transport.wire import query, quoted

TEMPLATES_PATH = "/templates"


class Templates(Noun):
    """Methods for templates; `name` is a name or a slug."""

    def list(self) -> builtins.list[templates.TemplateItem]:
        """Every template."""
        return self._ask("GET", TEMPLATES_PATH, builtins.list[templates.TemplateItem])

    def info(self, name: str) -> templates.TemplateInfo:
        """One template, with what it inherits."""
        return self._ask("GET", f"{TEMPLATES_PATH}/{quoted(name)}/info", templates.TemplateInfo)

    def yaml(self, name: str) -> templates.TemplateYaml:
        """One template as its author wrote it, even if it is invalid."""
        return self._ask("GET", f"{TEMPLATES_PATH}/{quoted(name)}/yaml", templates.TemplateYaml)

    def validate(self, *, packages: bool = False) -> templates.ValidationReport:
        """The mistakes in templates.

        `packages` also asks the package index whether their pip packages exist, which may be slow.
        """
        path = f"{TEMPLATES_PATH}/validate" + query(packages="true" if packages else None)
        return self._ask("GET", path, templates.ValidationReport, patient=packages)
