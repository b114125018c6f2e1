"""The typed client: its requests, and its decoded answers."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET

from prism.client import Client
from prism.client.transport.decoding import AnswerNotUnderstood
from prism.client.waiting import WorkspaceFailed
from prism.errors import Conflict
from prism.profiles.model import ProfileShown
from prism.projects.model import BudgetChange
from prism.workspaces.model import (
    Instance,
    LaunchAnswer,
    LaunchEstimate,
    NameTaken,
    WorkspaceState,
)
from tests.client.filled import filled
from tests.client.scripted import http, problem
from tests.client.transport.test_stream import HEAD, block

EXAMPLES = json.loads((Path(__file__).parents[1] / "spec" / "examples.json").read_text())
AT = "2026-01-01T00:00:00Z"
MINE = filled(Instance, name="mine", state="running", launch_time=AT)
LAUNCHED = filled(
    LaunchAnswer, name="mine", state="launching", hourly_rate=0.0416, estimated_ready_time=AT
)


@pytest.fixture
def prism(home, server):
    with Client(home=str(home), timeout=120) as client:
        yield client


def test_workspace_list_sends_filters_and_decodes_the_answer(prism, server):
    server.on("GET /instances", [MINE]).on("GET /instances?state=running&project=a%20b", [])
    [mine] = prism.workspaces.list()
    assert (mine.state, mine.launch_time) == (
        WorkspaceState.RUNNING,
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert prism.workspaces.list(state=WorkspaceState.RUNNING, project="a b") == []


def test_launch_sends_only_the_given_fields(prism, server):
    server.on("POST /instances/launch?wait=9", (201, LAUNCHED))
    answer = prism.workspaces.launch(
        "Plain Shell", "mine", size="L", disk_gb=50, parameters={"n": 1}, wait=9, key="k"
    )
    assert (answer.state, answer.hourly_rate) == (WorkspaceState.LAUNCHING, 0.0416)
    [request] = server.asked
    assert request.headers["idempotency-key"] == "k"
    assert request.body["storage"] == {"ebs_volume_size": 50}
    assert (request.body["size"], request.body["parameters"]) == ("L", {"n": 1})
    assert "dry_run" not in request.body


def test_plan_sends_a_dry_run(prism, server):
    server.on("POST /instances/launch", filled(LaunchEstimate, creates=["a folder"]))
    assert prism.workspaces.plan("Plain Shell", "mine").creates == ("a folder",)
    assert server.asked[0].body["dry_run"] is True


@pytest.mark.parametrize("verb", ["stop", "start", "hibernate", "resume"])
def test_verbs_quote_the_workspace_name_in_the_path(prism, server, verb):
    answer = {"name": "a/b", "previous_state": "running", "new_state": "stopping"}
    server.on(f"POST /instances/a%2Fb/{verb}", answer)
    changed = getattr(prism.workspaces, verb)("a/b")
    assert (changed.new_state, changed.message) == (WorkspaceState.STOPPING, msgspec.UNSET)


def test_start_sends_template_again_only_if_given(prism, server):
    answer = {"name": "mine", "previous_state": "failed", "new_state": "starting"}
    server.on("POST /instances/mine/start", answer)
    prism.workspaces.start("mine", template_again=True)
    prism.workspaces.start("mine")
    assert [request.body for request in server.asked] == [{"template_again": True}, None]


def test_terminate_sends_the_confirmation_and_extend_returns_none(prism, server):
    gone = {"name": "mine", "state": "terminating", "message": "m"}
    server.on("POST /instances/mine/terminate", gone).on("POST /instances/mine/extend", (204,))
    assert prism.workspaces.terminate("mine", backup=True).state == WorkspaceState.TERMINATING
    assert prism.workspaces.extend("mine", 8) is None
    terminate, extend = server.asked
    assert terminate.body == {"confirm": "DELETE", "backup_ebs": True}
    assert extend.body == {"hours": 8}


def test_connect_and_hibernation_status_decode_the_spec_examples(prism, server):
    server.on("GET /instances/mine/connect", example("/instances/{name}/connect"))
    server.on(
        "GET /instances/mine/hibernation-status",
        example("/instances/{name}/hibernation-status"),
    )
    services = prism.workspaces.connect("mine").services
    assert services["jupyter"].token == "a1b2c3d4e5f6g7h8i9j0"
    assert services["rstudio"].username == "researcher"
    assert prism.workspaces.hibernation_status("mine").hibernation_duration == "4h 30m"


def test_wait_returns_the_workspace_or_raises_its_failure(prism, server):
    failed = {**MINE, "state": "failed", "failure": {"code": "DISK_FULL", "message": "full"}}
    server.on("GET /instances/mine", {**MINE, "state": "launching"}, MINE)
    assert prism.workspaces.wait("mine", seconds=120).state == WorkspaceState.RUNNING
    server.on("GET /instances/mine", failed)
    with pytest.raises(WorkspaceFailed, match="full"):
        prism.workspaces.wait("mine")


def test_wait_for_terminated_returns_when_the_workspace_is_not_found(prism, server):
    gone = problem(404, "INSTANCE_NOT_FOUND", "gone")
    server.on("GET /instances/mine", {**MINE, "state": "terminating"}, gone)
    assert prism.workspaces.wait("mine", "terminated").state == WorkspaceState.TERMINATED


def test_profile_methods_send_and_decode_profiles(prism, server):
    profile = filled(ProfileShown, name="lab", provider="aws", created_at=AT)
    server.on("GET /profiles", [profile]).on("GET /profiles/current", profile)
    server.on("POST /profiles/switch", profile).on("POST /profiles", (201, profile))
    server.on("PUT /profiles/lab", profile).on("DELETE /profiles/lab", {"message": "m"})
    assert prism.profiles.list() == [prism.profiles.current()]
    assert prism.profiles.switch("lab").name == "lab"
    prism.profiles.create("lab", "aws", aws_profile="x")
    prism.profiles.update("lab", region=None)
    assert prism.profiles.delete("lab").message == "m"
    bodies = [request.body for request in server.asked[2:5]]
    assert bodies[0] == {"profile_name": "lab"}
    assert (bodies[1]["provider"], bodies[1]["aws_profile"]) == ("aws", "x")
    assert bodies[2] == {"region": None}, "fields that are not given are not sent"


def test_daemon_shutdown_decodes_the_spec_example(prism, server):
    server.on("POST /daemon/shutdown", example("/daemon/shutdown"))
    assert prism.daemon.shutdown().shutdown_timeout == 30


def test_aws_checks_and_cost_exports_are_returned_undecoded(prism, server):
    server.on("GET /daemon/aws?profile=lab", [{"profile": "lab", "missing": []}])
    server.on("POST /daemon/aws/setup", {"steps": []})
    server.on("POST /daemon/aws/login", {"identity": None})
    server.on("GET /costs/export?format=csv&start_date=2026-01-01", http(200, ["a"]))
    assert prism.daemon.aws("lab")[0]["profile"] == "lab"
    assert prism.daemon.aws_setup(dry_run=True) == {"steps": []}
    assert prism.daemon.aws_login("lab", code="123456") == {"identity": None}
    assert prism.costs.export_as("csv", date(2026, 1, 1)) == b'["a"]'


def test_request_encodes_structs_and_times_without_unset_fields(prism, server):
    server.on("PUT /projects/lab", problem(409, "CONFLICT", "no"))
    server.on("PUT /budgets/grant", problem(409, "CONFLICT", "no"))
    with pytest.raises(Conflict):
        prism.projects.update("lab", budget=BudgetChange(total_allocated=5))
    with pytest.raises(Conflict):
        prism.budgets.update("grant", end_date=datetime(2026, 1, 1, tzinfo=UTC), rename=UNSET)
    bodies = [request.body for request in server.asked]
    assert bodies == [{"budget": {"total_allocated": 5}}, {"end_date": AT}]


def test_events_are_decoded(prism, server):
    at = '"at": "2026-01-01T00:00:00Z", "actor": "ada", "subject": "mine", "data": {"a": 1}}'
    server.on(
        "GET /events",
        HEAD + block(1).replace(b": 1", b': "evt_1"').replace(b"}", f", {at}".encode()),
    )
    reader = prism.events(after=0)
    first = next(reader)
    assert (first.id, first.subject, first.data, first.at.year) == (
        "evt_1",
        "mine",
        {"a": 1},
        2026,
    )
    reader.close()


def test_problem_of_the_daemon_is_raised_as_its_class(prism, server):
    server.on("POST /instances/launch", problem(409, "NAME_TAKEN", "taken"))
    with pytest.raises(NameTaken, match="taken"):
        prism.workspaces.launch("Plain Shell", "mine")


def test_undecodable_answer_error_suggests_to_compare_versions(prism, server):
    server.on("GET /instances/mine", http(200, {"name": 1}))
    with pytest.raises(AnswerNotUnderstood) as raised:
        prism.workspaces.get("mine")
    assert "`prism version`" in raised.value.remediation


def test_unknown_name_in_the_client_package_raises_import_error():
    with pytest.raises(ImportError):
        from prism.client import Cloud  # noqa: F401


def example(path):
    [response] = [example["response"] for example in EXAMPLES if example["path"].endswith(path)]
    return response


def test_template_validate_requests_the_package_check_only_if_given(prism, server):
    validation = {"total_templates": 1, "validated": 1, "errors": [], "validation_results": []}
    server.on("GET /templates/validate", validation | {"validated": 0})
    server.on("GET /templates/validate?packages=true", validation)
    assert (prism.templates.validate().validated, len(server.asked)) == (0, 1)
    assert prism.templates.validate(packages=True).validated == 1


def test_patient_wire_has_a_longer_timeout_for_the_same_address(wire):
    before = wire.timeout
    assert (wire.patient().timeout > 60 * 20, wire.timeout) == (True, before)
    assert (wire.patient().address, type(wire.patient())) == (wire.address, type(wire))
