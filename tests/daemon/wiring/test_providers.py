"""AWS beside local machines: its locations join when used and do not delay others."""

import contextlib
import sqlite3
import threading
from datetime import UTC, datetime
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from aws_double.rulebook import build as rules
from prism.daemon.app import _start, _start_providers, build
from prism.daemon.wiring import providers
from prism.kit.clock import StoppedClock
from prism.kit.db import CURRENT_TX
from prism.kit.tables import metadata
from prism.profiles.providers import TRAITS
from prism.providers.aws.account.identity import AwsIdentity, LoginStatus
from prism.providers.local.compute import LocalCompute
from prism.settings import Settings
from tests.conftest import Http
from tests.doubles.memory import MemoryCompute
from tests.waiting import eventually

REGION, ACCOUNT = "us-west-2", "123456789012"
THERE = f"aws:{ACCOUNT}:{REGION}"


@pytest.fixture
def aws(aws, monkeypatch):
    for name, value in aws.environ(REGION).items():
        monkeypatch.setenv(name, value)
    return aws


class DaemonOnDouble:
    """A daemon with local machines in memory and the AWS double."""

    def __init__(self, folder):
        self.clock = StoppedClock(datetime(2026, 1, 1, tzinfo=UTC))
        settings = Settings(home=str(folder), user="ada", database_timeout=1)
        self.daemon = build(settings, clock=self.clock)
        self.http = Http(self.daemon.app)
        self.near = MemoryCompute(self.clock)
        self.daemon.local.serve({self.daemon.here: self.near})
        metadata.create_all(self.daemon.db.writer)
        self.daemon.profiles.first_start({})

    def get(self, path):
        return self.http("GET", f"/api/v1/{path}").json()

    def post(self, path, **body):
        answer = self.http("POST", f"/api/v1/{path}", json=body)
        return answer.json()

    def use(self, name="lab", region=REGION, **more):
        self.post("profiles", name=name, provider="aws", region=region, **more)
        self.post("profiles/switch", profile_name=name)

    def place(self, name=THERE):
        return next(
            (place for place in self.get("daemon/status")["places"] if place["place"] == name),
            None,
        )

    @contextlib.contextmanager
    def loops_running(self):
        """Run the loops, as in a real daemon."""
        with contextlib.ExitStack() as stack:
            for loop in self.daemon.loops:
                _start(stack, self.daemon.db, loop)
            _start_providers(stack, self.daemon)
            yield


@pytest.fixture
def daemon_on_double(tmp_path, aws):
    desk = DaemonOnDouble(tmp_path)
    yield desk
    desk.daemon.close()


def test_daemon_has_every_provider_of_the_table(tmp_path):
    daemon = build(Settings(home=str(tmp_path), user="ada"))
    assert list(daemon.providers) == [*TRAITS]
    daemon.close()


def actions(aws):
    return [call.action for call in aws.calls]


def test_lookup_by_location_reads_that_location_only_and_sees_later_ones():
    local, aws = SimpleNamespace(locations={}), SimpleNamespace(locations={})
    seen = []

    def volumes(location):
        seen.append(location)
        return location.volumes

    by_location = providers.ByLocation(lambda: [local, aws], volumes)
    assert (dict(by_location), len(by_location)) == ({}, 0)
    near, far = (SimpleNamespace(volumes=name) for name in ("disks", "cloud disks"))
    local.locations = {"near": near}
    aws.locations = {"bare": SimpleNamespace(volumes=None), "far": far}
    seen.clear()
    assert (by_location["far"], seen) == (far.volumes, [far])
    assert dict(by_location) == {"near": near.volumes, "far": far.volumes}
    assert len(by_location) == 2
    for absent in ("bare", "elsewhere"):
        assert absent not in by_location
        with pytest.raises(KeyError, match=absent):
            by_location[absent]


def test_aws_is_not_called_without_an_active_aws_profile(daemon_on_double, aws):
    daemon_on_double.post("profiles", name="lab", provider="aws", region=REGION)
    daemon_on_double.post("instances/launch", name="mine", template="plain-shell")
    daemon_on_double.daemon.settle()
    assert daemon_on_double.get("daemon/status")["aws_connectivity"] == "disconnected"
    assert daemon_on_double.get("daemon/aws") == []
    assert aws.calls == []


def test_location_of_the_active_profile_joins_with_its_identity(daemon_on_double, aws):
    daemon_on_double.use()
    assert daemon_on_double.place() is None
    daemon_on_double.daemon.settle()
    place = daemon_on_double.place()
    assert (place["reachable"], place["problem"]) == (True, None)
    assert place["identity"] == f"arn:aws:iam::{ACCOUNT}:user/prism"
    assert daemon_on_double.get("daemon/status")["aws_connectivity"] == "connected"
    assert actions(aws).count("DescribeInstances") == 1


def test_aws_port_forwards_ask_the_local_provider_about_workspace_sockets(
    daemon_on_double, tmp_path, monkeypatch
):
    near = LocalCompute(tmp_path / "workspaces")
    questions = []

    def of_a_workspace(inode, *, daemon_dials):
        questions.append(daemon_dials)
        return inode == 7

    monkeypatch.setattr(near, "peers", SimpleNamespace(of_a_workspace=of_a_workspace))
    daemon_on_double.daemon.local.serve({daemon_on_double.daemon.here: near})
    daemon_on_double.use()
    daemon_on_double.daemon.settle()
    forwards = daemon_on_double.daemon.aws.connected[THERE].compute._connectivity._forwards
    assert [forwards._stranger(inode) for inode in (7, 8)] == [True, False]
    assert questions == [True, True], "the daemon itself connects to them, for its proxies"


def test_expired_aws_credentials_affect_only_their_location(daemon_on_double, aws):
    aws.fault(action="GetCallerIdentity", do="error", code="ExpiredToken", status=403, times=None)
    daemon_on_double.use()
    daemon_on_double.daemon.settle()
    status = daemon_on_double.get("daemon/status")
    assert (status["status"], status["aws_connectivity"]) == ("degraded", "disconnected")
    local, lab = status["places"]
    assert (local["reachable"], lab["place"], lab["reachable"]) == (True, "aws:lab", False)
    assert "ExpiredToken" in lab["problem"]
    refused = daemon_on_double.post("instances/launch", name="mine", template="plain-shell")
    assert refused["error"]["code"] == "AWS_CREDENTIALS_MISSING"
    daemon_on_double.post("profiles/switch", profile_name="local")
    assert (
        daemon_on_double.post("instances/launch", name="near", template="plain-shell")["name"]
        == "near"
    )
    daemon_on_double.daemon.settle()
    assert daemon_on_double.get("instances/near")["state"] == "running"


def test_launch_is_refused_if_aws_does_not_return_the_identity(daemon_on_double, aws):
    aws.fault(action="GetCallerIdentity", do="error", status=503, times=None)
    daemon_on_double.use()
    answer = daemon_on_double.http.launch("mine")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "AWS_UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0


def test_launch_in_another_region_joins_that_region(daemon_on_double):
    daemon_on_double.use()
    answer = daemon_on_double.post(
        "instances/launch", name="mine", template="plain-shell", region="us-east-1"
    )
    assert answer["state"] == "launching"
    daemon_on_double.daemon.settle()
    assert daemon_on_double.get("instances/mine")["region"] == "us-east-1"
    assert daemon_on_double.place(f"aws:{ACCOUNT}:us-east-1")["reachable"]
    wrong = daemon_on_double.post(
        "instances/launch", name="x", template="plain-shell", region="us-wset-2"
    )
    assert "did you mean us-west-2" in wrong["error"]["details"]


def test_aws_dry_run_returns_the_price_and_its_source_without_ec2_calls(daemon_on_double, aws):
    daemon_on_double.use()
    plan = daemon_on_double.post(
        "instances/launch", name="mine", template="plain-shell", dry_run=True
    )
    assert (plan["instance_type"], plan["hourly"]) == ("t3.small", 0.0208)
    assert "as of" in plan["price_source"]
    assert set(actions(aws)) == {"GetCallerIdentity"}


def test_aws_location_joins_while_the_database_is_locked(daemon_on_double, aws, tmp_path):
    daemon_on_double.use()
    daemon_on_double.post("instances/launch", name="far", template="plain-shell")
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    with contextlib.closing(other):
        other.execute("BEGIN IMMEDIATE")
        with daemon_on_double.loops_running():
            eventually(lambda: THERE in daemon_on_double.daemon.aws.connected, 120)
            other.execute("ROLLBACK")
            # AWS may not show a new resource at once: the next attempt is some seconds later.
            eventually(
                lambda: (
                    daemon_on_double.clock.advance(seconds=0.1) or "RunInstances" in actions(aws)
                ),
                60,
            )


def test_hanging_aws_does_not_delay_local_workspaces(daemon_on_double, aws, monkeypatch):
    is_called, go = threading.Event(), threading.Event()

    def hang(self):
        is_called.set()
        go.wait(100)
        return []

    monkeypatch.setattr("prism.providers.aws.compute.lifecycle.AwsCompute.survey", hang)
    with daemon_on_double.loops_running():
        try:
            daemon_on_double.use()
            daemon_on_double.post("instances/launch", name="far", template="plain-shell")
            assert is_called.wait(120)
            daemon_on_double.post("profiles/switch", profile_name="local")
            for name in ("one", "two", "three"):
                daemon_on_double.post("instances/launch", name=name, template="plain-shell")
            running = dict.fromkeys(("one", "two", "three"), "running")
            eventually(lambda: states(daemon_on_double) == {"far": "launching"} | running, 120)
            assert not go.is_set()
            looks = len(daemon_on_double.near.calls)
            daemon_on_double.clock.advance(seconds=60)
            daemon_on_double.post("instances/one/stop")
            eventually(lambda: states(daemon_on_double)["one"] == "stopped", 120)
            assert len(daemon_on_double.near.calls) > looks
        finally:
            go.set()


def states(desk):
    return {workspace["name"]: workspace["state"] for workspace in desk.get("instances")}


def test_location_joins_a_running_daemon(daemon_on_double):
    with daemon_on_double.loops_running():
        daemon_on_double.use()
        eventually(
            lambda: daemon_on_double.get("daemon/status")["aws_connectivity"] == "connected", 120
        )
        daemon_on_double.use("east", "us-east-1")
        eventually(lambda: daemon_on_double.place(f"aws:{ACCOUNT}:us-east-1"), 120)
    assert len(daemon_on_double.daemon.joined_loops) == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("instances/launch", {"name": "mine", "template": "plain-shell"}),
        ("storage/volumes/create", {"name": "data", "type": "ebs", "size_gb": 1}),
    ],
)
def test_request_does_not_wait_for_aws_inside_its_transaction(
    daemon_on_double, monkeypatch, path, body
):
    """A request with an idempotency key is one transaction."""
    daemon_on_double.use()
    waits, of = [], daemon_on_double.daemon.aws.identities.of

    def record_patience(aws_profile, patience=99):
        waits.append((CURRENT_TX.get() is not None, patience))
        return of(aws_profile, patience)

    monkeypatch.setattr(daemon_on_double.daemon.aws.identities, "of", record_patience)
    headers = {"Idempotency-Key": "once"}
    answer = daemon_on_double.http("POST", f"/api/v1/{path}", json=body, headers=headers)
    assert answer.is_success, answer.text
    assert waits[0] == (False, providers.PATIENT)
    assert {patience for inside, patience in waits if inside} == {providers.NO_WAIT}


def test_price_comparison_does_not_wait_for_aws(daemon_on_double, monkeypatch):
    """The budget loop does that in its own thread, which must not wait for AWS."""
    daemon_on_double.use()
    daemon_on_double.post("instances/launch", name="mine", template="plain-shell")
    daemon_on_double.daemon.settle()
    waits, of = [], daemon_on_double.daemon.aws.identities.of

    def record_patience(aws_profile, patience=99):
        waits.append(patience)
        return of(aws_profile, patience)

    monkeypatch.setattr(daemon_on_double.daemon.aws.identities, "of", record_patience)
    daemon_on_double.clock.advance(hours=2)
    assert daemon_on_double.daemon.prices.look() == 0
    assert waits == [0.0]
    daemon_on_double.post("instances/launch", name="other", template="plain-shell")
    assert len(waits) == 2 and waits[1] == providers.PATIENT


@pytest.mark.parametrize("service", ["console", "braket", "sagemaker", "cloudshell"])
def test_aws_console_paths_redirect_to_a_federation_link(daemon_on_double, aws, service):
    daemon_on_double.use()
    answer = daemon_on_double.http("GET", f"/aws-proxy/{service}")
    where = urlsplit(answer.headers["location"])
    assert (answer.status_code, where.path) == (302, "/federation")
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == (
        "no-store",
        "no-referrer",
    )
    assert "SigninToken=" in where.query and "SigninToken" not in answer.text
    assert ACCOUNT not in where.query, "the access key of the double is the account's number"
    page = daemon_on_double.http("GET", f"/aws-proxy/{service}?token=mine")
    assert "SigninToken=mine" in page.headers["location"]
    assert daemon_on_double.http("GET", "/aws-proxy/mail").status_code == 404


def test_aws_console_is_refused_without_the_federation_permission(daemon_on_double, aws):
    daemon_on_double.use()
    aws.rules = rules({"denied": ["sts:GetFederationToken"]})
    answer = daemon_on_double.http("GET", "/aws-proxy/console")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AWS_PERMISSION_DENIED")


def test_missing_permissions_are_listed_for_used_or_named_profiles(daemon_on_double, aws):
    aws.rules = rules({"denied": ["ec2:RunInstances"]})
    daemon_on_double.post("profiles", name="other", provider="aws", region=REGION)
    assert daemon_on_double.get("daemon/aws") == []
    [other] = daemon_on_double.get("daemon/aws?profile=other")
    assert (other["missing"], other["account"]) == (["ec2:RunInstances"], ACCOUNT)
    assert (
        daemon_on_double.get("daemon/aws?profile=nobody")["error"]["code"] == "PROFILE_NOT_FOUND"
    )
    assert daemon_on_double.get("daemon/aws?profile=local") == []
    assert daemon_on_double.get("daemon/aws/policy")["Version"] == "2012-10-17"
    assert "role/lab" in str(daemon_on_double.get("daemon/aws/policy?role=lab"))
    for role in ("team/lab", "*", "a" * 65):
        refused = daemon_on_double.get(f"daemon/aws/policy?role={role}")["error"]
        assert "a role without its path" in str(refused["data"]), refused


def test_aws_setup_creates_the_machine_role_and_a_dry_run_does_not(daemon_on_double, aws):
    daemon_on_double.use()
    [access] = daemon_on_double.get("daemon/aws")
    assert "prism aws setup" in access["note"]
    steps = daemon_on_double.post("daemon/aws/setup", dry_run=True)["steps"]
    assert [step["done"] for step in steps] == [False] * 4
    assert "CreateRole" not in actions(aws)
    setup = daemon_on_double.post("daemon/aws/setup", profile="lab")
    assert (setup["account"], [step["done"] for step in setup["steps"]]) == (ACCOUNT, [True] * 4)
    [access] = daemon_on_double.get("daemon/aws")
    assert access["note"] is None
    assert "Resources:" in daemon_on_double.get("daemon/aws/setup")["text"]
    assert "aws_iam_role" in daemon_on_double.get("daemon/aws/setup?format=terraform")["text"]
    [rule, _] = daemon_on_double.get("daemon/aws/policy?kind=setup")["Statement"]
    assert "iam:CreateRole" in rule["Action"]


def test_plan_includes_the_maximum_cost_of_unlimited_cpu(daemon_on_double):
    daemon_on_double.use()
    daemon_on_double.daemon.settle()
    order = {"name": "mine", "template": "plain-shell", "size": "M", "dry_run": True}
    usual, more = (
        daemon_on_double.post("instances/launch", **order, unlimited=number)
        for number in (False, True)
    )
    assert round(more["hourly"] - usual["hourly"], 4) == 0.1
    assert "CPU is unlimited" in " ".join(more["notes"])
    launched = daemon_on_double.post(
        "instances/launch", name="mine", template="plain-shell", size="M", unlimited=True
    )
    assert launched["hourly_rate"] == more["hourly"], (
        "the price with unlimited CPU is reserved and booked"
    )


def test_aws_setup_requires_credentials(daemon_on_double):
    refused = daemon_on_double.post("daemon/aws/setup", dry_run=True)
    assert refused["error"]["code"] == "AWS_CREDENTIALS_MISSING"


def test_status_contains_the_missing_permissions_of_the_last_check(daemon_on_double, aws):
    daemon_on_double.use()
    daemon_on_double.daemon.settle()
    assert (daemon_on_double.place()["missing"], daemon_on_double.place()["checked_at"]) == (
        None,
        None,
    )
    aws.rules = rules({"denied": ["ec2:RunInstances"]})
    daemon_on_double.get("daemon/aws")
    call_count = len(aws.calls)
    assert daemon_on_double.place()["missing"] == ["ec2:RunInstances"]
    assert daemon_on_double.place()["checked_at"] == "2026-01-01T00:00:00Z"
    assert len(aws.calls) == call_count, "the result is stored and not requested again"
    aws.rules = rules({})
    daemon_on_double.get("daemon/aws")
    assert daemon_on_double.place()["missing"] == []


def test_status_ignores_missing_permissions_of_another_login(
    daemon_on_double, aws, tmp_path, monkeypatch
):
    logins = tmp_path / "credentials"
    logins.write_text(f"[guest]\naws_access_key_id={ACCOUNT}\naws_secret_access_key=x\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(logins))
    daemon_on_double.use()
    daemon_on_double.daemon.settle()
    daemon_on_double.post(
        "profiles", name="guest", provider="aws", region=REGION, aws_profile="guest"
    )
    aws.rules = rules({"denied": ["ec2:RunInstances"]})
    [guest] = daemon_on_double.get("daemon/aws?profile=guest")
    assert (guest["missing"], guest["account"]) == (["ec2:RunInstances"], ACCOUNT)
    assert daemon_on_double.place()["missing"] is None


@pytest.mark.parametrize(
    ("region", "arn", "partition"),
    [
        ("us-gov-west-1", None, "aws-us-gov"),
        ("cn-north-1", None, "aws-cn"),
        ("us-west-2", f"arn:aws-cn:iam::{ACCOUNT}:user/ada", "aws-cn"),
        ("us-west-2", None, "aws"),
    ],
)
def test_policy_has_the_partition_of_the_region_or_identity(
    daemon_on_double, aws, region, arn, partition
):
    daemon_on_double.use("lab", region)
    if arn is not None:
        login = LoginStatus(identity=AwsIdentity(account=ACCOUNT, arn=arn))
        daemon_on_double.daemon.aws.identities._logins[None] = login
    resources = [
        statement["Resource"]
        for statement in daemon_on_double.get("daemon/aws/policy")["Statement"]
    ]
    arns = [
        resource_arn
        for resource in resources
        for resource_arn in (resource if isinstance(resource, list) else [resource])
        if resource_arn != "*"
    ]
    assert {arn.split(":")[1] for arn in arns} == {partition}
    assert aws.calls == []


def test_volume_is_created_at_the_location_of_the_active_profile(daemon_on_double):
    daemon_on_double.use()
    created_volume = daemon_on_double.post(
        "storage/volumes/create", name="data", type="ebs", size_gb=8
    )
    assert created_volume["state"] == "creating"
    daemon_on_double.daemon.settle()
    daemon_on_double.clock.advance(seconds=5)
    daemon_on_double.daemon.settle()
    [volume] = daemon_on_double.get("storage/volumes")["ebs_volumes"]
    assert volume["volume_id"].startswith("vol-")


def test_orphans_route_lists_locations_before_their_first_survey(daemon_on_double, aws):
    daemon_on_double.use()
    waiting = {"place": "aws:lab", "looked_at": None, "problem": None}
    assert waiting in daemon_on_double.get("orphans")["places"]
    daemon_on_double.daemon.settle()
    places = {place["place"]: place for place in daemon_on_double.get("orphans")["places"]}
    assert places.keys() == {THERE, daemon_on_double.daemon.here}
    assert places[THERE]["looked_at"] and places[THERE]["problem"] is None
    aws.fault(action="GetCallerIdentity", do="error", code="ExpiredToken", status=403, times=None)
    daemon_on_double.use("other", aws_profile=None, region="eu-west-1")
    daemon_on_double.daemon.aws.identities._logins.clear()
    daemon_on_double.daemon.settle()
    problems = {
        place["place"]: place["problem"] for place in daemon_on_double.get("orphans")["places"]
    }
    assert "ExpiredToken" in problems["aws:other"]


def test_aws_machines_are_recovered_after_loss_of_the_database(daemon_on_double, tmp_path, aws):
    aws.rules = rules({"like": "consistent"})  # without EC2's delay before a new instance is shown
    daemon_on_double.use()
    daemon_on_double.post("instances/launch", name="mine", template="plain-shell")
    daemon_on_double.daemon.settle()
    [instance] = daemon_on_double.get("instances")
    (tmp_path / "other").mkdir()
    anew = DaemonOnDouble(tmp_path / "other")
    try:
        anew.use()

        def shown():
            anew.daemon.settle()
            return anew.get("orphans")["orphans"]

        [orphan] = eventually(shown)
        assert (orphan["id"], orphan["name"]) == (instance["id"], "mine")
        anew.post("recover")
        assert [workspace["id"] for workspace in anew.get("instances")] == [instance["id"]]
    finally:
        anew.daemon.close()
