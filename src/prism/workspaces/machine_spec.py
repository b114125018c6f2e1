"""The spec of a machine, from the row of its workspace."""

from prism.workspaces.idleness import IdleRule
from prism.workspaces.model import Workspace
from prism.workspaces.plan import deadline
from prism.workspaces.ports import MachineSpec


def machine_spec(workspace: Workspace, attempt: int, rule: IdleRule | None) -> MachineSpec:
    """What the provider is asked for; `attempt` is the number of the launch."""
    return MachineSpec(
        key=workspace.id,
        name=workspace.name,
        owner=workspace.owner,
        profile=workspace.profile,
        project=workspace.project_name,
        allocation=workspace.allocation,
        budget=workspace.budget,
        idle_profile=workspace.idle_profile,
        idle=rule,
        launched_at=workspace.launched_at,
        attempt=attempt,
        spot=workspace.spot,
        open_ports=workspace.open_ports,
        unlimited=workspace.unlimited,
        root_type=workspace.root_type,
        template=workspace.resolved_template,
        parameters=workspace.parameters,
        instance_type=workspace.instance_type,
        root_gb=workspace.root_gb,
        hibernation=workspace.hibernation,
        expires_at=deadline(workspace),
        ends_at=workspace.expires_at,
        starts=workspace.rollback_to is None,
    )
