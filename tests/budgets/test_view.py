"""The view of budgets: status and top projects."""

from prism.budgets.balances import Balance
from prism.budgets.model import Cap
from prism.budgets.plan import ALWAYS
from prism.budgets.view import status, top_projects
from prism.kit.money import Micros


def test_cap_status_is_warning_from_the_alert_threshold_on():
    cap = Cap(column="pool", id="b", name="grant", amount=Micros(1000), alert=0.8)
    statuses = [status(Balance(cap, ALWAYS, spent, 0)) for spent in (0, 799, 800, 949, 950)]
    assert statuses == ["ok", "ok", "warning", "warning", "critical"]


def test_top_projects_are_the_five_with_the_highest_spending():
    rows = [(f"p{n}", f"lab {n}", n * 10_000, False) for n in range(7)]
    assert [project.project_id for project in top_projects(rows, 210_000)] == [
        "p6",
        "p5",
        "p4",
        "p3",
        "p2",
    ]
