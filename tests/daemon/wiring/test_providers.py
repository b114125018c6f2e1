"""AWS beside this machine: it joins when it is used, and nobody else waits for it."""

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
from prism.kit.db import CURRENT
from prism.kit.tables import metadata
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
    """A daemon whose own machine is one in memory, and whose AWS is the double."""

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
    def alive(self):
        """Its loops are at work, as in a daemon."""
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


def actions(aws):
    return [call.action for call in aws.calls]


def test_nobody_asks_aws_while_no_aws_profile_is_active(daemon_on_double, aws):
    daemon_on_double.post("profiles", name="lab", provider="aws", region=REGION)
    daemon_on_double.post("instances/launch", name="mine", template="plain-shell")
    daemon_on_double.daemon.settle()
    assert daemon_on_double.get("daemon/status")["aws_connectivity"] == "disconnected"
    assert daemon_on_double.get("daemon/aws") == []
    assert aws.calls == []


def test_the_place_of_the_active_profile_joins_and_says_who_we_are(daemon_on_double, aws):
    daemon_on_double.use()
    assert daemon_on_double.place() is None
    daemon_on_double.daemon.settle()
    place = daemon_on_double.place()
    assert (place["reachable"], place["problem"]) == (True, None)
    assert place["identity"] == f"arn:aws:iam::{ACCOUNT}:user/prism"
    assert daemon_on_double.get("daemon/status")["aws_connectivity"] == "connected"
    assert actions(aws).count("DescribeInstances") == 1


def test_its_ports_here_ask_the_local_provider_whose_sockets_are_workspaces(
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
    assert questions == [True, True], "the daemon itself dials them, for its proxies"


def test_credentials_that_are_away_degrade_nothing_but_their_place(daemon_on_double, aws):
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


def test_a_launch_waits_a_moment_for_who_we_are_and_no_longer(daemon_on_double, aws):
    aws.fault(action="GetCallerIdentity", do="error", status=503, times=None)
    daemon_on_double.use()
    answer = daemon_on_double.http.launch("mine")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "AWS_UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0


def test_a_launch_may_name_a_region_of_its_own(daemon_on_double):
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


def test_a_dry_run_makes_nothing_and_names_the_price_and_its_source(daemon_on_double, aws):
    daemon_on_double.use()
    plan = daemon_on_double.post(
        "instances/launch", name="mine", template="plain-shell", dry_run=True
    )
    assert (plan["instance_type"], plan["hourly"]) == ("t3.small", 0.0208)
    assert "as of" in plan["price_source"]
    assert set(actions(aws)) == {"GetCallerIdentity"}


def test_aws_joins_and_works_although_the_database_cannot_be_written_at_first(
    daemon_on_double, aws, tmp_path
):
    daemon_on_double.use()
    daemon_on_double.post("instances/launch", name="far", template="plain-shell")
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    with contextlib.closing(other):
        other.execute("BEGIN IMMEDIATE")
        with daemon_on_double.alive():
            eventually(lambda: THERE in daemon_on_double.daemon.aws.connected, 120)
            other.execute("ROLLBACK")
            # What AWS has made it may not show yet: the next try is some seconds later.
            eventually(
                lambda: (
                    daemon_on_double.clock.advance(seconds=0.1) or "RunInstances" in actions(aws)
                ),
                60,
            )


def test_an_aws_that_never_answers_delays_no_workspace_of_this_machine(
    daemon_on_double, aws, monkeypatch
):
    is_called, go = threading.Event(), threading.Event()

    def hangs(self):
        is_called.set()
        go.wait(100)
        return []

    monkeypatch.setattr("prism.providers.aws.compute.lifecycle.AwsCompute.survey", hangs)
    with daemon_on_double.alive():
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


def test_a_place_joins_a_daemon_that_runs(daemon_on_double):
    with daemon_on_double.alive():
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
def test_nobody_waits_for_aws_as_the_one_writer(daemon_on_double, monkeypatch, path, body):
    """A request with an idempotency key is one transaction from its beginning to its end."""
    daemon_on_double.use()
    waits, of = [], daemon_on_double.daemon.aws.identities.of

    def noted(aws_profile, patience=99):
        waits.append((CURRENT.get() is not None, patience))
        return of(aws_profile, patience)

    monkeypatch.setattr(daemon_on_double.daemon.aws.identities, "of", noted)
    headers = {"Idempotency-Key": "once"}
    answer = daemon_on_double.http("POST", f"/api/v1/{path}", json=body, headers=headers)
    assert answer.is_success, answer.text
    assert waits[0] == (False, providers.PATIENT)
    assert {patience for inside, patience in waits if inside} == {providers.AT_ONCE}


def test_prices_are_asked_again_without_waiting_for_anybody(daemon_on_double, monkeypatch):
    """The keeper of budgets does that, in a thread of its own that may not hang on AWS."""
    daemon_on_double.use()
    daemon_on_double.post("instances/launch", name="mine", template="plain-shell")
    daemon_on_double.daemon.settle()
    waits, of = [], daemon_on_double.daemon.aws.identities.of

    def noted(aws_profile, patience=99):
        waits.append(patience)
        return of(aws_profile, patience)

    monkeypatch.setattr(daemon_on_double.daemon.aws.identities, "of", noted)
    daemon_on_double.clock.advance(hours=2)
    assert daemon_on_double.daemon.prices.look() == 0
    assert waits == [0.0]
    daemon_on_double.post("instances/launch", name="other", template="plain-shell")
    assert len(waits) == 2 and waits[1] == providers.PATIENT


@pytest.mark.parametrize("service", ["console", "braket", "sagemaker", "cloudshell"])
def test_awss_own_pages(daemon_on_double, aws, service):
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


def test_who_may_not_federate_is_told_which_permission_lacks(daemon_on_double, aws):
    daemon_on_double.use()
    aws.rules = rules({"denied": ["sts:GetFederationToken"]})
    answer = daemon_on_double.http("GET", "/aws-proxy/console")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AWS_PERMISSION_DENIED")


def test_what_is_missing_is_told_of_profiles_that_are_used_or_named(daemon_on_double, aws):
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


def test_an_administrator_makes_the_role_of_machines_and_a_dry_run_does_not(daemon_on_double, aws):
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


def test_unlimited_cpu_is_in_the_plan_with_what_it_may_cost(daemon_on_double):
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
    assert launched["hourly_rate"] == more["hourly"], "so much is set aside, and so much is booked"


def test_the_setup_needs_an_account(daemon_on_double):
    refused = daemon_on_double.post("daemon/aws/setup", dry_run=True)
    assert refused["error"]["code"] == "AWS_CREDENTIALS_MISSING"


def test_the_status_says_what_was_missing_when_somebody_looked_last(daemon_on_double, aws):
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
    assert len(aws.calls) == call_count, "it is remembered, not asked for"
    aws.rules = rules({})
    daemon_on_double.get("daemon/aws")
    assert daemon_on_double.place()["missing"] == []


def test_what_another_login_lacks_is_not_told_of_the_one_that_serves_a_place(
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
def test_the_policy_is_of_the_partition_that_somebody_works_in(
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


def test_a_volume_is_kept_where_the_profile_leads(daemon_on_double):
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


def test_recovery_knows_of_places_that_nobody_has_looked_at_yet(daemon_on_double, aws):
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


def test_machines_at_aws_are_taken_back_by_a_daemon_that_has_lost_its_database(
    daemon_on_double, tmp_path, aws
):
    aws.rules = rules({"like": "consistent"})  # how long EC2 hides it is not asked here
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
