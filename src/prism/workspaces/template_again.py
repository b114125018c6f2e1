"""Reads the template again for a workspace that was never ready."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from prism.catalog.plan import machine_type
from prism.templates.model import Template
from prism.templates.plan import parameters_for
from prism.templates.service import TemplateService
from prism.workspaces.model import LaunchRequest, Offer, Workspace, WorkspaceState
from prism.workspaces.plan import may_read_template_again, state_of


class TemplateReader:
    """Gives a workspace that was never ready the current version of its template."""

    def __init__(self, templates: TemplateService, offer: Callable[[Workspace], Offer]) -> None:
        self._templates, self._offer = templates, offer

    def checked(self, workspace: Workspace) -> tuple[Template, dict[str, Any]]:
        """The current template, and its parameters; raises the refusal that its launch would get.

        Machine type, disk and hibernation stay as they were at the launch.
        """
        if not _starts_again(workspace):
            may_read_template_again(workspace)
        template = self._templates.named(workspace.template)
        parameters = parameters_for(template, chosen_parameters(workspace))
        offer, kind = self._offer(workspace), machine_type(workspace.instance_type)
        offer.accept(template, kind, _spec(workspace, template, parameters))
        if workspace.machine_id is not None:
            offer.change_template(replace(workspace, parameters=parameters), template)
        return template, parameters

    def changed(self, before: Workspace, template: Template, values: dict[str, Any]) -> Workspace:
        """The workspace with the current template; unchanged if it already starts with that."""
        if _starts_again(before) and before.resolved_template == template:
            return before
        may_read_template_again(before)
        return replace(before, resolved_template=template, parameters=values, template_reread=True)


def chosen_parameters(workspace: Workspace) -> dict[str, Any]:
    """The parameters of the launch that differed from the template's defaults."""
    defaults = {
        name: parameter.default
        for name, parameter in workspace.resolved_template.parameters.items()
    }
    return {
        name: value
        for name, value in workspace.parameters.items()
        if name not in defaults or value != defaults[name]
    }


def _starts_again(workspace: Workspace) -> bool:
    starts = state_of(workspace) is WorkspaceState.STARTING and workspace.ready_at is None
    return starts and workspace.template_reread


def _spec(workspace: Workspace, template: Template, parameters: dict[str, Any]) -> LaunchRequest:
    return LaunchRequest(
        name=workspace.name,
        template=template.name,
        instance_type=workspace.instance_type,
        spot=workspace.spot,
        open_ports=workspace.open_ports,
        unlimited=workspace.unlimited,
        hibernation=workspace.hibernation,
        parameters=parameters,
    )
