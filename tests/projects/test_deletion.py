"""When a project can be deleted."""

import pytest

from prism.projects.model import NewProject, ProjectInUse
from prism.workspaces.model import LaunchRequest, TerminateRequest
from tests.conftest import ML


def settle(daemon):
    for _ in range(4):
        daemon.settle()
        daemon.clock.advance(seconds=2)


@pytest.fixture
def project(daemon):
    return daemon.projects.create(NewProject(name="reef one"))


def test_project_is_kept_for_its_workspaces_and_deleted_after_their_termination(
    daemon, http, project
):
    for name in ("mine", "other"):
        daemon.workspaces.launch(LaunchRequest(name=name, template=ML, project=project.name))
    settle(daemon)
    with pytest.raises(ProjectInUse) as refused:
        daemon.projects.delete(project.name)
    assert refused.value.details == "2 workspaces belong to it: mine, other"
    assert "`prism list --project 'reef one'`" in refused.value.remediation
    for name in ("mine", "other"):
        daemon.workspaces.terminate(name, TerminateRequest(confirm="DELETE"))
    settle(daemon)
    daemon.projects.delete(project.name)
    listed = http("GET", "/api/v1/instances").json()
    assert [row["state"] for row in listed] == ["terminated"] * 2, "they are still listed"


def test_refusal_names_five_workspaces(daemon, project):
    for number in range(6):
        daemon.workspaces.launch(
            LaunchRequest(name=f"w{number}", template=ML, project=project.name)
        )
    with pytest.raises(ProjectInUse, match="in use") as refused:
        daemon.projects.delete(project.name)
    assert refused.value.details == "6 workspaces belong to it: w0, w1, w2, w3, w4, …"
