"""The statement of a pool: every number equals what the books say, and the parts add up."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prism.budgets.balances import Balance, pool_cap
from prism.budgets.model import CapAmount, Pool, Window
from prism.budgets.statement import PoolPeriod, amount_at, amount_changes, markdown
from prism.budgets.statement import statement as make_statement
from prism.costs.model import CostKind, Segment
from prism.costs.view import line
from prism.kit.money import Micros
from tests.shapes import failed

API, PARTS = "/api/v1", ("spent", "reserved", "left")
WRONG = ["2025-12", "2026-02", "2026-1", "20260101", "9999", "9999-12-31", "2026-13", "%0A2026"]


def statement(lab, period=None, pool="grant"):
    text = "" if period is None else f"?period={period}"
    return lab.get(f"budgets/{pool}/statement{text}")


def page(lab, form, pool="grant", period="2026-01"):
    response = lab.http("GET", f"{API}/budgets/{pool}/statement?format={form}&period={period}")
    assert response.status_code == 200, response.text
    return response.text


def cents(usd):
    return round(100 * usd)


def allocations(lab):
    """The allocations of the pool, by the name of the project."""
    rows = lab.get("budgets/grant/allocations")["allocations"]
    return {row["project_name"]: row for row in rows}


def check_sums(answer):
    """The account and each table add up to the cent, and to the micro-dollar."""
    changes = sum(cents(change["change"]) for change in answer["changes"])
    rest = cents(answer["spent"]) + cents(answer["reserved"]) + cents(answer["closing"])
    assert cents(answer["opening"]) + changes == rest
    for table in (answer["by_person"], answer["by_kind"]):
        assert sum(cents(line["cost"]) for line in table) == cents(answer["spent"])
        assert sum(line["micros"] for line in table) == answer["micros"]
    projects = answer["projects"]
    assert sum(cents(line["spent"]) for line in projects) == cents(answer["spent"])
    assert sum(line["micros"] for line in projects) == answer["micros"]
    for of in projects:
        assert cents(of["allocated"]) == sum(cents(of[word]) for word in PARTS)


@pytest.fixture
def lab(clocked_daemon):
    """A monthly pool with two projects, at the end of January."""
    lab = clocked_daemon
    lab.pool("grant", 100.0, "monthly")
    for project, part in (("reef", 60.0), ("kelp", 30.0)):
        lab.project(project)
        lab.allocate("grant", project, part)
    lab.running("corals", project="reef")
    lab.running("weeds", project="kelp", size="S")
    lab.live(hours=5)
    return lab


def later(lab, **delta):
    """Sleep until then, so that little time passes in the daemon."""
    for name in ("corals", "weeds"):
        if lab.state(name) == "running":
            assert lab.verb(name, "stop").status_code == 200
    lab.settle()
    lab.settle(**delta)


def test_present_period_shows_what_the_budget_shows(lab):
    answer, budget = statement(lab), lab.get("budgets/grant")
    assert {word: answer[word] for word in ("spent", "reserved", "closing", "opening")} == {
        "spent": budget["spent"],
        "reserved": budget["reserved"],
        "closing": budget["left"],
        "opening": budget["total_amount"],
    }
    assert (answer["start"], answer["end"]) == (budget["period_start"], budget["period_end"])
    assert not answer["is_over"]
    assert [of["project"] for of in answer["projects"]] == ["reef", "kelp"]
    parts = allocations(lab)
    for of in answer["projects"]:
        part = parts[of["project"]]
        assert (of["allocated"], of["reserved"]) == (part["allocated_amount"], part["reserved"])
        assert abs(of["spent"] - part["spent"]) < 0.011, "apportioned to whole cents"
    check_sums(answer)
    assert answer["micros"] == lab.recount() > 0


def test_closed_period_does_not_change_any_more(lab):
    in_january = statement(lab)
    later(lab, days=40)
    answer = statement(lab, "2026-01")
    assert answer["is_over"]
    assert answer["reserved"] == 0
    assert answer["spent"] > in_january["spent"], "the disks went on"
    february = int(datetime(2026, 2, 1, tzinfo=UTC).timestamp())
    assert answer["micros"] == lab.recount(end=february)
    check_sums(answer)
    assert lab.put("budgets/grant", total_amount=500.0).status_code == 200
    path = f"allocations/{allocations(lab)['reef']['id']}"
    assert lab.put(path, allocated_amount=70.0).status_code == 200
    lab.settle(days=3)
    assert {**statement(lab, "2026-01"), "as_of": answer["as_of"]} == answer
    present = statement(lab)
    assert present["previous"] == "2026-01-01"
    assert [cents(change["change"]) for change in present["changes"]] == [40000]
    assert present["opening"] == 100.0
    assert {line["project"]: line["allocated"] for line in present["projects"]} == {
        "reef": 70.0, "kelp": 30.0,
    }  # fmt: skip
    check_sums(present)


def test_statement_counts_projects_whose_allocation_was_deleted(lab):
    later(lab)
    for name in ("corals", "weeds"):
        assert lab.verb(name, "terminate", confirm="DELETE").status_code == 200
    lab.settle()
    lab.settle(minutes=6)
    spent = {line["project"]: line["micros"] for line in statement(lab)["projects"]}
    for part in allocations(lab).values():
        assert lab.http("DELETE", f"{API}/allocations/{part['id']}").status_code == 200
    lab.settle(minutes=1)
    answer = statement(lab)
    assert {line["project"]: line["micros"] for line in answer["projects"]} == spent
    assert {line["allocated"] for line in answer["projects"]} == {0.0}
    check_sums(answer)


def test_statement_of_an_ended_pool_has_what_was_booked_after_its_end(lab):
    later(lab)
    end = lab.clock.now() + timedelta(hours=1)
    assert lab.put("budgets/grant", end_date=end.isoformat()).status_code == 200
    lab.settle(days=3)
    answer, budget = statement(lab), lab.get("budgets/grant")
    assert answer["spent_after_end"] == budget["spent_after_end"] > 0
    assert answer["spent"] == budget["spent"]
    assert answer["reserved"] == 0
    assert answer["is_over"]
    assert answer["micros"] == lab.recount()
    check_sums(answer)
    assert "booked after the end" in page(lab, "markdown")


@pytest.mark.parametrize(
    ("period", "text", "start"),
    [
        ("daily", "2026-01-03", "2026-01-02T23:00:00Z"),
        ("daily", "2026-01", "2026-01-01T00:00:00Z"),
        ("weekly", "2026-01-07", "2026-01-04T23:00:00Z"),
        ("yearly", "2026", "2026-01-01T00:00:00Z"),
        ("project", "2026-01-08", "2026-01-01T00:00:00Z"),
    ],
)
def test_period_is_that_with_the_named_day_in_the_zone_of_the_pool(
    clocked_daemon, period, text, start
):
    clocked_daemon.pool("grant", 9.0, period, time_zone="Europe/Berlin")
    clocked_daemon.settle(days=10)
    answer = statement(clocked_daemon, text)
    assert answer["start"] == start
    assert answer["time_zone"] == "Europe/Berlin"


@pytest.mark.parametrize(
    "text",
    ["2025-12", "2026-02", "2026-1", "20260101", "9999", "9999-12-31", "2026-13", "%0A2026"],
)
def test_period_that_does_not_exist_is_refused(clocked_daemon, text):
    clocked_daemon.pool("grant", 9.0, "monthly")
    path = f"{API}/budgets/grant/statement?period={text}"
    failed(clocked_daemon.http("GET", path), 422, "VALIDATION_FAILED")


def test_statement_of_a_pool_that_has_not_begun_is_refused(clocked_daemon):
    clocked_daemon.pool("grant", 9.0, start_date="2026-05-01T00:00:00Z")
    fault = failed(
        clocked_daemon.http("GET", f"{API}/budgets/grant/statement"), 422, "VALIDATION_FAILED"
    )
    assert "2026-05-01" in str(fault)


def test_printed_statement_contains_names_of_others_as_text_only(clocked_daemon):
    lab, name = clocked_daemon, "=<script>alert(1)</script>|`x`"
    pool = lab.pool(name, 10.0, "monthly")["id"]
    lab.project("<b>lab")
    lab.allocate(pool, "<b>lab", 5.0)
    lab.running(project="<b>lab", size="S")
    lab.live(hours=1)
    response = lab.http("GET", f"{API}/budgets/{pool}/statement?format=html")
    assert "script>" not in response.text.replace("&lt;script&gt;", "").replace(
        "&lt;/script&gt;", ""
    )
    assert "<b>" not in response.text
    assert "sandbox" in response.headers["content-security-policy"]
    assert "\\<b\\>lab" in page(lab, "markdown", pool)
    rows = [*csv.DictReader(io.StringIO(page(lab, "csv", pool)))]
    account = {row["name"]: float(row["usd"]) for row in rows if row["section"] == "account"}
    assert account["opening"] == 10.0
    assert cents(account["opening"]) == sum(cents(account[word]) for word in PARTS)
    [line] = [row for row in rows if row["section"] == "project"]
    assert (line["name"], int(line["micros"])) == ("<b>lab", lab.recount())


def test_unknown_price_makes_no_zero():
    since = datetime(2026, 1, 1, tzinfo=UTC)
    pool = Pool(
        id="p", name="grant", total=Micros(10_000_000), period="monthly", created_by="pi",
        start_date=since, created_at=since, updated_at=since,
    )  # fmt: skip
    within, at = Window(int(since.timestamp()), None), int(since.timestamp()) + 3600
    segment = Segment(
        id=1, resource="ws_1", name="odd", owner="ada", profile="aws", template=None, project="r",
        allocation=None, pool="p", kind=CostKind.COMPUTE, detail="x9.huge", amount=None, hours=1,
        source="unknown", began=within.start, ended=at, counted=None, reconstructed=False,
        as_of=None,
    )  # fmt: skip
    period = PoolPeriod(
        pool=pool, within=within, balance=Balance(pool_cap(pool), within, 0, 0), now=at,
        lines=[line(segment, {}, within.start, at)], reserved={},
        amounts=[CapAmount("p", 0, "p", None, pool.total)],
    )  # fmt: skip
    answer = make_statement(period, {"r": "reef"})
    assert (answer.spent, answer.micros, answer.closing) == (None, None, None)
    [of_reef] = answer.projects
    assert (of_reef.spent, of_reef.left, of_reef.micros) == (None, None, None)
    assert answer.unknown == ("odd",)
    assert "Spent | unknown" in markdown(answer).replace("spent", "Spent")


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=12), st.integers(0, 50))
def test_amount_and_changes_of_a_period_add_up(rows, start):
    """The amount at the start and all changes within a period are the amount at its end."""
    amounts = {since: CapAmount("p", since, "p", None, Micros(usd)) for since, usd in rows}
    ordered = [amounts[since] for since in sorted(amounts)]
    for end in range(start + 1, 52):
        opening = amount_at(ordered, start)
        more = amount_changes(ordered, opening, Window(start, end))
        assert opening + sum(change for _, change in more) == amount_at(ordered, end - 1)
        assert all(start < at < end and change for at, change in more)
