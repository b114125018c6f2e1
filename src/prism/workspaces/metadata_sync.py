"""Updates the description on a machine when it has changed in the database."""

from typing import Any

from prism.errors import Problem
from prism.workspaces.model import LifecycleVerb, Workspace
from prism.workspaces.plan import WorkspaceAction
from prism.workspaces.ports import Compute, Machine, MachineSpec, ProviderRefused

QUIET = {WorkspaceAction.WAIT, WorkspaceAction.REST}


def describe(
    compute: Compute,
    workspace: Workspace,
    machine: Machine | None,
    act: WorkspaceAction,
    spec: MachineSpec,
) -> dict[str, Any] | None:
    """Write a workspace's metadata to its machine, after all other steps.

    None if the write must be repeated; errors are not raised, so that they delay no other step.
    """
    is_applied = workspace.applied_metadata_version == workspace.metadata_version
    if is_applied or workspace.verb is LifecycleVerb.TERMINATE or act not in QUIET:
        return {}
    if machine is None:
        return None if workspace.machine_id else {}
    try:
        compute.describe(machine.id, spec)
    except ProviderRefused:  # another try would be refused too, until something changes
        return {}
    except Problem:
        return None
    return {"applied_metadata_version": workspace.metadata_version}
