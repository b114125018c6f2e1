"""Why a workspace does not move on: an error of its location, or a boot that does not proceed."""

import pytest
from msgspec.structs import replace

from prism.workspaces.model import LaunchRequest, Observed
from prism.workspaces.surveys.delays import Delays
from tests.conftest import ML
from tests.optional import not_none


@pytest.fixture
def starting_workspace(daemon):
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    daemon.settle()
    workspace = daemon.workspaces.named("mine")
    columns = {
        "observed": Observed.STARTING,
        "observed_generation": 0,
        "stage": "packages",
        "progress": 40,
    }
    return replace(workspace, **columns)


def test_boot_that_stays_at_a_stage_is_reported_after_a_minute(clock, starting_workspace):
    delays = Delays(clock, lambda it: None)
    since = clock.now()
    assert delays.of(starting_workspace) is None
    clock.advance(seconds=59)
    assert delays.of(starting_workspace) is None
    clock.advance(seconds=1)
    delay = not_none(delays.of(starting_workspace))
    assert delay.startswith(f"its boot has been at 'packages' since {since:%H:%M:%S} UTC")
    assert "`prism logs mine`" in delay
    assert delays.of(replace(starting_workspace, progress=60)) is None, "the boot proceeds"
    clock.advance(seconds=60)
    assert delays.of(replace(starting_workspace, progress=60))
    assert (
        delays.of(replace(starting_workspace, observed=Observed.ON, observed_generation=1)) is None
    )


def test_error_of_the_location_comes_first_and_only_during_a_change(clock, starting_workspace):
    delays = Delays(clock, lambda it: "AWS is away")
    clock.advance(seconds=100)
    assert delays.of(starting_workspace) == "AWS is away"
    assert (
        delays.of(replace(starting_workspace, observed=Observed.ON, observed_generation=1)) is None
    )


def test_loop_keeps_the_error_of_a_row_until_it_succeeds(daemon, cloud):
    cloud.faults.down = True
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    daemon.settle()
    workspace = daemon.workspaces.named("mine")
    assert daemon.loop.failing(workspace.id)
    assert daemon.read_model.fresh("mine").count(daemon.loop.failing(workspace.id).encode()) == 1
    cloud.faults.down = False
    daemon.clock.advance(minutes=1)
    daemon.settle()
    assert daemon.loop.failing(workspace.id) is None
    assert b'"waiting":null' in daemon.read_model.fresh("mine")


def test_list_changes_when_the_reason_of_a_delay_changes(daemon, cloud, http):
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    first = http("GET", "/api/v1/instances")
    assert first.json()[0]["waiting"] is None
    cloud.faults.down = True
    daemon.settle()
    tag = {"If-None-Match": first.headers["etag"]}
    again = http("GET", "/api/v1/instances", headers=tag)
    assert (again.status_code, again.json()[0]["waiting"]) == (200, "The cloud does not answer")
