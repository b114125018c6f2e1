"""Each sentence of docs/money-in-a-minute.md is a test, and its picture shows real numbers."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.shapes import failed

DOCS = Path(__file__).parents[2] / "docs"
PAGE, PICTURE = DOCS / "money-in-a-minute.md", DOCS / "money-in-a-minute.svg"
Check = Callable[..., None]
CHECKS: dict[str, Check] = {}


def says(sentence: str) -> Callable[[Check], Check]:
    """The check of one sentence of the page."""

    def register(check: Check) -> Check:
        CHECKS[sentence] = check
        return check

    return register


def cap(lab, scope="project", project="lab"):
    [limit] = [c for c in lab.get(f"projects/{project}/budget")["caps"] if c["scope"] == scope]
    return limit


@says("A budget is money for several projects, once or again in each day, week, month or year.")
def several_projects_share_a_budget(lab):
    for period in ("project", "daily", "weekly", "monthly", "yearly"):
        lab.pool(period, 10.0, period)
        for project in ("a", "b"):
            lab.project(f"{project}-{period}")
            lab.allocate(period, f"{project}-{period}", 5.0)
    ends = {pool["name"]: pool["period_end"] for pool in lab.get("budgets")["budgets"]}
    assert ends.pop("project") is None
    assert {period: end[:10] for period, end in ends.items()} == {
        "daily": "2026-01-02",
        "weekly": "2026-01-05",
        "monthly": "2026-02-01",
        "yearly": "2027-01-01",
    }


@says("An allocation is the part of a budget that a project can use.")
def only_the_allocated_part_is_used(lab):
    lab.project("lab")
    lab.pool("grant", 100.0)
    lab.allocate("grant", "lab", 1.0)
    assert lab.get("projects/lab/budget")["left"] == 1.0
    error = failed(lab.launch(project="lab"), 403, "BUDGET_EXCEEDED")
    assert error["message"].startswith("The allocation to 'lab' from 'grant'")


@says("A project can also have a limit of its own.")
def own_limit_applies_beside_an_allocation(lab):
    lab.project("lab", 1.0)
    lab.pool("grant", 100.0)
    lab.allocate("grant", "lab", 100.0)
    error = failed(lab.launch(project="lab"), 403, "BUDGET_EXCEEDED")
    assert error["message"].startswith("The project 'lab'")


@says("A launch is granted only if it fits every limit.")
def every_limit_must_fit(lab):
    for name, own, part, whole in (("a", 1, 9, 9), ("b", 9, 1, 9), ("c", 9, 9, 9)):
        lab.project(name, float(own))
        lab.pool(f"of {name}", float(whole))
        lab.allocate(f"of {name}", name, float(part))
        status = lab.launch(f"in-{name}", project=name).status_code
        assert status == (201 if min(own, part, whole) > 1 else 403)


@says(
    "A launch reserves compute for the next hour, or until the workspace expires, and its disk "
    "for 30 days."
)
def hour_and_thirty_days_are_reserved(lab):
    lab.project("lab", 100.0)
    assert lab.launch(project="lab").status_code == 201
    assert lab.launch("short", project="lab", ttl_hours=9).status_code == 201
    assert {row.name: (row.until - lab.now) // 3600 for row in lab.reservations()} == {
        "mine": 1,
        "short": 9,
    }
    assert {row.disk_until - lab.now for row in lab.reservations()} == {30 * 86400}


@says("Spent, reserved and left add up to the limit, to the cent.")
def cents_add_up(lab):
    lab.project("lab", 10.0)
    lab.running(project="lab")
    for minutes in (1, 7, 61):
        lab.live(minutes=minutes)
        limit = cap(lab)
        parts = limit["spent"], limit["reserved"], limit["left"]
        assert round(sum(parts), 2) == limit["amount"] == 10.0


@says("What is reserved becomes spent while the workspace runs, and never more than that.")
def reserved_money_becomes_spent(lab):
    lab.project("lab", 10.0)
    lab.running(project="lab", ttl_hours=5)
    [(_, spent, reserved)] = lab.balances("lab")
    most = spent + reserved
    for _ in range(4):
        lab.settle(hours=1)
        [(_, more_spent, less_reserved)] = lab.balances("lab")
        assert more_spent > spent
        assert less_reserved < reserved
        spent, reserved = more_spent, less_reserved
        assert spent + reserved <= most + 1_600_000 // 30, "the disk is renewed each day"


@says("A stopped workspace costs only its disk.")
def stopped_workspace_costs_its_disk(lab):
    lab.project("lab", 10.0)
    lab.running(project="lab")
    lab.settle(minutes=30)
    lab.verb("mine", "stop")
    lab.settle()
    before = {kind: lab.recount(kind=kind) for kind in ("compute", "root")}
    lab.settle(hours=100)
    after = {kind: lab.recount(kind=kind) for kind in ("compute", "root")}
    assert after["compute"] == before["compute"] > 0
    assert after["root"] > before["root"]


@says("A workspace without more money goes to sleep before its limit is exceeded.")
def workspace_sleeps_in_time(lab):
    lab.project("lab", 2.0)
    lab.running(project="lab")
    lab.until_asleep(lab.get("projects/lab/forecast")["runs_out_on"])
    lab.check_caps()


@says("Data is never deleted to save money, so disks can exceed a limit.")
def disks_stay(lab):
    lab.project("lab", 2.0)
    lab.running(project="lab")
    lab.verb("mine", "stop")
    lab.settle()
    lab.settle(hours=2000)
    assert lab.get("projects/lab/budget")["overrun"] > 0
    assert lab.state() == "stopped"
    assert lab.workspace().machine_id is not None


@says("In a new period, nothing is spent yet.")
def new_period_begins_at_zero(lab):
    lab.project("lab")
    lab.pool("grant", 10.0, "daily")
    lab.allocate("grant", "lab", 10.0)
    lab.running(project="lab", ttl_hours=5)
    lab.live(hours=6)
    assert cap(lab, "pool")["spent"] > 0.4
    lab.verb("mine", "terminate", confirm="DELETE")
    lab.settle()
    lab.settle(hours=18)
    assert cap(lab, "pool")["spent"] == 0


@says("A price that is not known is shown as unknown, not as 0.")
def unknown_price_is_null(lab, monkeypatch):
    monkeypatch.setattr(
        "prism.providers.local.offer.LocalOffer.price", lambda *of, **more: (None, None)
    )
    lab.project("lab")
    lab.running(project="lab")
    lab.settle(hours=3)
    assert lab.get("projects/lab/budget")["cost_breakdown"]["compute"] is None


def test_each_sentence_of_the_page_has_a_check():
    sentences = re.findall(r"^- (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sentences == list(CHECKS)


@pytest.mark.parametrize("sentence", CHECKS, ids=lambda text: CHECKS[text].__name__)
def test_sentence_is_true(clocked_daemon, monkeypatch, sentence):
    check = CHECKS[sentence]
    more = [monkeypatch] if check is unknown_price_is_null else []
    check(clocked_daemon, *more)


def test_picture_shows_the_numbers_of_a_workspace_after_an_hour(clocked_daemon):
    clocked_daemon.project("lab", 10.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.live(hours=1)
    limit, text = cap(clocked_daemon), PICTURE.read_text(encoding="utf-8")
    amounts = re.findall(r"<text[^>]*>(\$[0-9.]+)</text>", text)
    assert amounts == [f"${limit[name]:.2f}" for name in ("spent", "reserved", "left")]
    [title] = re.findall(r"<title>(.*)</title>", text)
    assert re.findall(r"\$[0-9.]+[0-9]", title) == ["$10.00", *amounts]
