"""What the AWS provider offers, what it refuses, and its prices, without calls to AWS."""

from datetime import UTC, datetime
from hashlib import sha256

import pytest
from msgspec.structs import replace

from prism.catalog.plan import PriceBook, machine_type
from prism.errors import InvalidState, ValidationFailed
from prism.kit.clock import StoppedClock
from prism.kit.money import Micros
from prism.providers.aws.offer import AwsOffer, no_hibernation
from prism.providers.aws.prices.price_list import Prices, Quote
from prism.providers.aws.storage.offer import AwsStorageOffer
from prism.storage.model import VolumeKind
from prism.templates.model import Template, TemplateInvalid
from prism.workspaces.model import LaunchRequest, RootDisk, Workspace

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLOCK = StoppedClock(NOW)
LOCATION = "aws:123456789012:us-east-1"


@pytest.fixture
def prices(tmp_path):
    return Prices(tmp_path, StoppedClock(NOW), PriceBook())


@pytest.fixture
def offer(prices):
    return AwsOffer(LOCATION, "us-east-1", prices, clock=CLOCK)


def template(base="ubuntu-22.04", **more):
    return Template(name="t", base=base, **more)


def order(**more):
    return LaunchRequest(name="mine", template="t", **more)


def notes(terms, kind="t3.large", of=None, **more):
    return " ".join(terms.accept(of or template(), machine_type(kind), order(**more)))


def machine_made_from(**more):
    return Workspace(
        id="ws_1",
        name="mine",
        owner="ada",
        profile="lab",
        location=LOCATION,
        template="t",
        resolved_template=template(**more),
        instance_type="t3.large",
        region="us-east-1",
        hibernation=True,
        root_gb=20,
        launched_at=NOW,
        requested_at=NOW,
        hourly_rate=None,
        price_source=None,
    )


def test_system_whose_updates_end_soon_is_named(prices):
    """Ubuntu, "Release cycle": standard support of 22.04 ends in April 2027."""
    clock = StoppedClock(datetime(2026, 4, 1, tzinfo=UTC))
    offer = AwsOffer(LOCATION, "us-east-1", prices, clock=clock)
    assert "no security updates" not in notes(offer)
    clock.time = datetime(2026, 6, 1, tzinfo=UTC)
    assert "ubuntu-22.04 gets no security updates after April 2027" in notes(offer)
    assert "no security updates" not in notes(offer, of=template("ubuntu-24.04"))


def test_changed_template_must_keep_the_base_and_the_users(offer):
    machine = machine_made_from(users=("ada",))
    offer.change_template(machine, template(users=("ada",), post_install=("echo corrected",)))
    for field, changed in (
        ("base", template("debian-12", users=("ada",))),
        ("users", template(users=("ada", "eve"))),
    ):
        with pytest.raises(InvalidState) as refused:
            offer.change_template(machine, changed)
        assert f"`{field}`" in refused.value.details
        assert "`prism launch t mine`" in refused.value.remediation


@pytest.mark.parametrize(
    ("of", "kind", "launch", "why"),
    [
        (
            template("debian-12", packages={"dnf": ("gcc",)}, package_manager="dnf"),
            "t3.large",
            {},
            "dnf",
        ),
        (
            template(
                post_install=tuple(
                    f"echo {sha256(bytes([i, j])).hexdigest()}"
                    for i in range(24)
                    for j in range(24)
                )
            ),
            "t3.large",
            {},
            "16,384",
        ),
        (template(family="gpu"), "t3.large", {}, "needs a GPU"),
        (template("debian-12", family="gpu"), "g4dn.xlarge", {}, "not on debian-12"),
        (template("rocky-9", family="gpu"), "g4dn.xlarge", {}, "not on rocky-9"),
        (template("amazon-linux-2023", family="gpu"), "g4dn.xlarge", {}, "not on amazon-linux"),
        (template(), "t3.large", {"storage": RootDisk(ebs_volume_type="st1")}, "st1"),
    ],
)
def test_launch_that_ec2_cannot_run_is_refused(offer, of, kind, launch, why):
    with pytest.raises((TemplateInvalid, ValidationFailed)) as refused:
        offer.accept(of, machine_type(kind), order(**launch))
    assert why in refused.value.message + refused.value.details


def test_type_outside_of_the_free_plan_is_refused_with_one_that_is_included(prices):
    offer = AwsOffer(
        LOCATION, "us-east-1", prices, clock=CLOCK, included=lambda: frozenset({"t3.small"})
    )
    with pytest.raises(ValidationFailed) as refused:
        offer.accept(template(), machine_type("t3.medium"), order())
    assert "Free plan of the account does not include t3.medium" in refused.value.details
    assert "`prism launch --instance-type t3.small`" in refused.value.remediation
    assert offer.accept(template(), machine_type("t3.small"), order()) is not None


def test_template_without_a_base_gets_the_default_base(offer):
    note = notes(offer, of=template(None), hibernation=False)
    assert note == "its template names no system (`base`): it gets ubuntu-24.04"


def test_ordinary_launch_has_few_notes(offer):
    assert notes(offer) == (
        "its root disk has 52 GB, not 20, for memory in hibernation, enough for a resize up to "
        "t3.2xlarge"
    )
    assert notes(offer, hibernation=False) == ""
    assert "only on this computer" in notes(offer, hibernation=False, restart=True)
    gpu = template(family="gpu")
    assert "needs a GPU" not in notes(offer, "g4dn.xlarge", gpu)


@pytest.mark.parametrize(
    ("of", "kind", "launch", "why"),
    [
        (template("debian-12"), "t3.large", {}, "cannot hibernate debian-12"),
        (template("rocky-9"), "t3.large", {}, "cannot hibernate rocky-9"),
        (template("ubuntu-24.04"), "t3.large", {}, "cannot hibernate ubuntu-24.04"),
        (template(), "r6i.large", {}, "cannot hibernate r6i.large"),
        (template(), "t3.large", {"storage": RootDisk(ebs_volume_size=17)}, "needs 18"),
    ],
)
def test_launch_that_cannot_hibernate_notes_the_reason(offer, of, kind, launch, why):
    kind, launch = machine_type(kind), order(**launch)
    assert not offer.hibernates(kind, of, launch)
    [note] = offer.accept(of, kind, launch)
    assert why in note
    assert offer.root_gb(kind, of, launch) == (launch.storage.ebs_volume_size or 20)


@pytest.mark.parametrize(
    ("base", "kind", "root_gb", "why"),
    [
        ("debian-12", "t3.large", 20, "EC2 cannot hibernate debian-12"),
        ("ubuntu-24.04", "t3.large", 20, "EC2 cannot hibernate ubuntu-24.04"),
        ("ubuntu-22.04", "r6i.large", 20, "EC2 cannot hibernate r6i.large"),
        ("ubuntu-22.04", "t3.large", 17, "a root disk of 17 GB is too small, t3.large needs 18"),
        ("ubuntu-22.04", "t3.large", 20, None),
        (None, "t3.large", 20, "EC2 cannot hibernate ubuntu-24.04"),
        (
            "ubuntu-22.04",
            "t3.2xlarge",
            20,
            "it was launched with `--no-hibernation`, or a root disk of 20 GB is too small, "
            "t3.2xlarge needs 42",
        ),
        ("ubuntu-22.04", "m9.unheard-of", 20, None),
    ],
)
def test_no_hibernation_returns_the_reason(base, kind, root_gb, why):
    """None: the user launched it without hibernation."""
    machine = machine_made_from(base=base)
    awake = replace(machine, instance_type=kind, hibernation=False, root_gb=root_gb)
    assert no_hibernation(awake) == why


def test_hibernation_is_impossible_with_150_gib_of_memory(offer):
    huge = replace(machine_type("t3.large"), name="m9.huge", memory_gib=150)
    assert not offer.hibernates(huge, template(), order())
    assert offer.hibernates(replace(huge, memory_gib=149), template(), order())


@pytest.mark.parametrize("base", ["ubuntu-22.04", "amazon-linux-2023"])
def test_root_disk_has_room_for_the_memory_in_hibernation(offer, base):
    kind, of = machine_type("t3.2xlarge"), template(base, root_gb=30)
    assert offer.hibernates(kind, of, order())
    assert offer.root_gb(kind, of, order()) == 62
    assert offer.root_gb(kind, of, order(hibernation=False)) == 30
    storage_order = order(storage=RootDisk(ebs_volume_size=42))
    assert (offer.root_gb(kind, of, storage_order), offer.hibernates(kind, of, storage_order)) == (
        42,
        True,
    )


def test_price_is_that_of_the_region_or_unknown(offer, prices):
    amount, source = offer.price(machine_type("t3.large"), spot=False)
    assert (amount, source.endswith("us-east-1, as of 2026-11-24")) == (83200, True)
    elsewhere = AwsOffer("aws:1:eu-west-1", "eu-west-1", prices, clock=CLOCK)
    assert elsewhere.price(machine_type("t3.large"), spot=False) == (None, None)
    assert "nobody knows what t3.large costs in eu-west-1" in notes(elsewhere)


@pytest.mark.parametrize(
    ("kind", "more"), [("t3.large", 100_000), ("t4g.large", 80_000), ("c6i.large", 0)]
)
def test_unlimited_credits_are_priced_for_full_use_of_every_cpu(offer, kind, more):
    """EC2 On-Demand pricing: $0.05 a vCPU-hour of T3, 0.04 of T4g, beyond the price."""
    usual, _ = offer.price(machine_type(kind), False)
    most, source = offer.price(machine_type(kind), False, unlimited=True)
    assert most == usual + more
    assert ("unlimited CPU credits" in source) is bool(more)
    assert notes(offer, kind, hibernation=False) == "", "a default needs no note"
    note = notes(offer, kind, hibernation=False, unlimited=True)
    assert ("$0.10 an hour more" in note) is (kind == "t3.large")
    assert ("changes nothing" in note) is (not more)


def test_spot_price_is_the_known_price_or_the_on_demand_price(offer, prices, monkeypatch):
    kind = machine_type("t3.large")
    assert offer.price(kind, spot=True) == offer.price(kind, spot=False)
    assert "at most the on-demand price" in notes(offer, spot=True)
    known = Quote(Micros(30000), "EC2 spot price")
    monkeypatch.setattr(prices, "spot", lambda *_: known)
    assert offer.price(kind, spot=True) == (30000, "EC2 spot price")
    assert "reclaim a spot machine" in notes(offer, spot=True)
    assert "at most the on-demand price" not in notes(offer, spot=True)


@pytest.mark.parametrize(
    ("base", "kind", "expected"),
    [
        (
            "ubuntu-24.04",
            "t3.large",
            "ssm:/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
        ),
        ("debian-12", "t4g.large", "ssm:/aws/service/debian/release/12/latest/arm64"),
        ("rocky-9", "t4g.large", "the newest Rocky-9-EC2-Base-9.*.aarch64 of 792107900819"),
    ],
)
def test_image_is_shown_by_its_lookup(offer, base, kind, expected):
    assert offer.image(template(base), machine_type(kind)) == expected


def test_image_that_was_looked_up_is_shown_by_its_id(prices):
    known = {("debian-12", "arm64"): "ami-1"}
    terms = AwsOffer(LOCATION, "us-east-1", prices, lambda *key: known.get(key), clock=CLOCK)
    assert terms.image(template("debian-12"), machine_type("t4g.large")) == "ami-1"
    assert terms.image(template("debian-12"), machine_type("t3.large")).startswith("ssm:")


def workspace(**more):
    usual = {
        "id": "ws_1", "name": "mine", "owner": "ada", "profile": "lab", "location": LOCATION,
        "template": "t", "resolved_template": template(), "instance_type": "t3.large",
        "region": "us-east-1", "hourly_rate": None, "price_source": None, "hibernation": True,
        "root_gb": 28, "launched_at": NOW, "requested_at": NOW,
    }  # fmt: skip
    return Workspace(**usual | more)


@pytest.mark.parametrize(
    ("fields", "kind", "why"),
    [
        ({}, "t4g.large", "was made for x86_64"),
        ({}, "t3.2xlarge", "a root disk of 28 GB is too small"),
        ({}, "r6i.large", "cannot hibernate r6i.large"),
        ({"resolved_template": template(family="gpu")}, "t3.large", "needs a GPU"),
        ({"spot": True}, "t3.xlarge", "a spot machine keeps its type"),
    ],
)
def test_resize_to_an_unsuitable_type_is_refused(offer, fields, kind, why):
    with pytest.raises(ValidationFailed) as refused:
        offer.resize(workspace(**fields), machine_type(kind))
    assert why in refused.value.details


def test_resize_to_a_suitable_type_is_accepted(offer):
    assert offer.resize(workspace(), machine_type("t3.large")) == ()
    assert offer.resize(workspace(hibernation=False), machine_type("r6i.8xlarge")) == ()
    old = workspace(instance_type="x9.old", hibernation=False)
    assert offer.resize(old, machine_type("t3.small")) == ()
    spot = workspace(spot=True)
    assert offer.resize(spot, machine_type(spot.instance_type)) == ()


@pytest.mark.parametrize("family", ["general", "compute", "memory", "gpu"])
@pytest.mark.parametrize("small", ["XS", "M"])
def test_default_launch_can_be_resized_to_every_larger_size(offer, family, small):
    """Its root disk has room for the memory of the largest size that hibernates."""
    of, kind = template(family=family), machine_type(None, small, family)
    sleeps = offer.hibernates(kind, of, order())
    disk = offer.root_gb(kind, of, order())
    tested_workspace = workspace(
        resolved_template=of, instance_type=kind.name, hibernation=sleeps, root_gb=disk
    )
    for size in ("M", "L", "XL"):
        offer.resize(tested_workspace, machine_type(None, size, family))


def test_root_disk_of_a_chosen_type_has_room_for_its_memory(offer):
    assert offer.root_gb(machine_type("c6i.xlarge"), template(), order()) == 28


def test_resize_that_ec2_may_refuse_notes_the_consequence(offer):
    """AWS's documents disagree on machines that may hibernate."""
    [note] = offer.resize(workspace(), machine_type("t3.xlarge"))
    assert "if EC2 refuses, it stays t3.large, and `prism show mine` says so" in note


def test_storage_prices_are_those_of_the_region(prices):
    offer = AwsStorageOffer(LOCATION, "us-east-1", prices)
    assert [offer.gb_month(name) for name in ("gp3", "efs", "snapshot")] == [80000, 300000, 50000]
    assert offer.gb_month("io2") is None
    assert offer.expected_id("vol", VolumeKind.EBS) is None
    assert "zone" in offer.notes(VolumeKind.EBS, 10)[0] and offer.notes(VolumeKind.EFS, None)
