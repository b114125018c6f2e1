"""A period of a pool on one page, to be signed: pure functions of ledger lines and amounts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from html import escape

from msgspec import Struct

from prism.budgets.balances import Balance
from prism.budgets.model import (
    AmountChange,
    CapAmount,
    Pool,
    PoolStatement,
    StatementLine,
    Window,
)
from prism.budgets.plan import window, zone
from prism.budgets.report import (
    PrintedTable,
    cents,
    html_page,
    known,
    markdown_page,
    missing_prices,
    plain,
    price_sources,
    shares,
    source_of,
    table_of,
    usd,
)
from prism.costs.model import CostExportLine
from prism.costs.plan import moment
from prism.costs.view import WORDS, names
from prism.kit.money import Micros, amount, apportioned
from prism.kit.spreadsheet import csv_of

NOBODY = "(no project)"
TERMS = "In USD, at list prices and without tax."


class PoolPeriod(Struct, frozen=True, kw_only=True):
    """What a statement is made of: a period of a pool, and what the books say about it at `now`.

    `lines` are what was paid in it, and `reserved` is by allocation.
    """

    pool: Pool
    within: Window
    balance: Balance
    lines: Sequence[CostExportLine]
    amounts: Sequence[CapAmount]
    reserved: Mapping[str, int]
    now: int


def amount_at(amounts: Iterable[CapAmount], at: int) -> Micros:
    """Which of the amounts of a cap counts at a moment; 0 before the first."""
    before = (row for row in amounts if row.since <= at)
    last = max(before, key=lambda row: row.since, default=None)
    return Micros(0) if last is None else last.amount


def statement(of: PoolPeriod, project_names: Mapping[str, str]) -> PoolStatement:
    """The statement of a period of a pool; the cents of all parts add up."""
    pool, within, balance = of.pool, of.within, of.balance
    whole = [row for row in of.amounts if row.scope == pool.id]
    opening = amount_at(whole, within.start)
    changes = amount_changes(whole, opening, within)
    spent = known([line.micros for line in of.lines])
    closing = sum(round(change, -4) for _, change in changes) + round(opening, -4)
    closing -= round(spent or 0, -4) + round(balance.reserved, -4)
    projects, ids = _projects(of), {line.project or "" for line in of.lines}
    name_of = {id: project_names.get(id, id) or NOBODY for id in {*projects, *ids}}
    return PoolStatement(
        budget_id=pool.id,
        budget=pool.name,
        period=pool.period,
        time_zone=pool.time_zone,
        start=moment(within.start),
        end=None if within.end is None else moment(within.end),
        previous=_previous(pool, within),
        is_over=within.end is not None and within.end <= of.now,
        opening=amount(opening),
        changes=tuple(AmountChange(moment(at), amount(change)) for at, change in changes),
        spent=None if spent is None else amount(spent),
        micros=spent,
        reserved=amount(Micros(balance.reserved)),
        closing=None if spent is None else amount(Micros(closing)),
        spent_after_end=amount(Micros(balance.after)),
        projects=tuple(_project_lines(of, projects, name_of)),
        by_person=shares(((line.user, line) for line in of.lines), spent),
        by_kind=shares(((WORDS[line.kind], line) for line in of.lines), spent),
        sources=tuple(sorted({source_of(line) for line in of.lines if line.micros})),
        unknown=names((line.name, line.kind) for line in of.lines if line.micros is None),
        as_of=moment(of.now),
    )


def _previous(pool: Pool, within: Window) -> date | None:
    """The first day of the period before, in the time zone of the pool."""
    before = window(pool, within.start - 1)
    return None if before is None else moment(before.start).astimezone(zone(pool.time_zone)).date()


def amount_changes(
    amounts: Iterable[CapAmount], opening: Micros, within: Window
) -> list[tuple[int, Micros]]:
    """By how much an amount was changed in a period, and when."""
    changes, before = [], opening
    for row in amounts:
        if within.start < row.since and (within.end is None or row.since < within.end):
            if row.amount != before:
                changes.append((row.since, Micros(row.amount - before)))
            before = row.amount
    return changes


def _projects(of: PoolPeriod) -> dict[str, dict[str, Micros]]:
    """The allocations of each project at the end of a period, with their amounts."""
    last = of.now if of.within.end is None else of.within.end - 1
    by_scope = dict[str, list[CapAmount]]()
    for row in of.amounts:
        if row.project is not None:
            by_scope.setdefault(row.scope, []).append(row)
    projects = dict[str, dict[str, Micros]]()
    for scope, rows in by_scope.items():
        if allocated := amount_at(rows, last):
            projects.setdefault(rows[0].project or "", {})[scope] = allocated
    return projects


def _project_lines(
    of: PoolPeriod, projects: Mapping[str, Mapping[str, Micros]], name_of: Mapping[str, str]
) -> list[StatementLine]:
    """A line for each project that has an allocation or has spent something, the dearest first."""
    lines = dict[str, list[int | None]]()
    for line in of.lines:
        lines.setdefault(line.project or "", []).append(line.micros)
    sums = {id: known(lines.get(id, ())) for id in name_of}
    spent_of = apportioned({id: micros for id, micros in sums.items() if micros is not None})
    rows = []
    for id in sorted(name_of, key=lambda id: (-(sums[id] or 0), name_of[id], id)):
        parts = projects.get(id, {})
        allocated = sum(parts.values())
        reserved = sum(of.reserved.get(scope, 0) for scope in parts)
        rest = round(allocated, -4) - round(reserved, -4) - round(1e6 * spent_of.get(id, 0))
        rows.append(
            StatementLine(
                project_id=id,
                project=name_of[id],
                allocated=amount(Micros(allocated)),
                spent=spent_of.get(id),
                reserved=amount(Micros(reserved)),
                left=amount(Micros(rest)) if id in spent_of else None,
                micros=sums[id],
            )
        )
    return rows


def markdown(statement: PoolStatement) -> str:
    """The statement as text, to read and to print."""
    first = f"{_dates(statement)} {TERMS}"
    return markdown_page(_title(statement), first, _tables(statement), _notes(statement, plain))


def page(statement: PoolStatement) -> str:
    """The statement as a page for a browser."""
    first, notes = escape(f"{_dates(statement)} {TERMS}"), _notes(statement, escape)
    if statement.previous is not None:
        to = f"?format=html&amp;period={statement.previous}"
        notes.append(f'<a href="{to}">The period before</a>')
    return html_page(_title(statement), first, _tables(statement), notes)


def table(statement: PoolStatement) -> str:
    """The statement for a spreadsheet; `micros` is exact."""
    nothing = (None,) * 3
    rows: list[tuple[object, ...]] = [
        ("account", name, cents(usd), *nothing, None) for name, usd in _account(statement)
    ]
    rows += [
        (
            *("project", line.project, cents(line.spent)),
            *map(cents, (line.allocated, line.reserved, line.left)),
            line.micros,
        )
        for line in statement.projects
    ]
    for section, lines in (("person", statement.by_person), ("kind", statement.by_kind)):
        rows += [(section, line.name, cents(line.cost), *nothing, line.micros) for line in lines]
    rows += [("without a price", name, None, *nothing, None) for name in statement.unknown]
    return csv_of(("section", "name", "usd", "allocated", "reserved", "left", "micros"), rows)


def _title(statement: PoolStatement) -> str:
    return f"Statement of {statement.budget}"


def _dates(statement: PoolStatement) -> str:
    """The first and the last day, in the time zone of the pool."""
    tz = zone(statement.time_zone)
    first = f"{statement.start.astimezone(tz):%Y-%m-%d}"
    as_of = f"{statement.as_of.astimezone(tz):%Y-%m-%d %H:%M}"
    last = "with no end"
    if statement.end is not None:
        last = f"to {moment(int(statement.end.timestamp()) - 1).astimezone(tz):%Y-%m-%d}"
    return f"{first} {last}, time zone {statement.time_zone}, as of {as_of}."


def _account(statement: PoolStatement) -> list[tuple[str, float | None]]:
    """The lines of the account, which add up: each name with its amount."""
    tz = zone(statement.time_zone)
    return [
        ("opening", statement.opening),
        *(
            (f"changed on {change.at.astimezone(tz):%Y-%m-%d}", change.change)
            for change in statement.changes
        ),
        ("spent", statement.spent),
        ("reserved", statement.reserved),
        ("closing" if statement.is_over else "left", statement.closing),
    ]


def _tables(statement: PoolStatement) -> list[PrintedTable]:
    account = [(name, usd(number)) for name, number in _account(statement)]
    projects = [
        (line.project, *map(usd, (line.allocated, line.spent, line.reserved, line.left)))
        for line in statement.projects
    ]
    heads = ("", "allocated", "spent", "reserved", "left")
    return [
        PrintedTable("Account", ("", "USD"), account),
        PrintedTable("By project", heads, projects),
        table_of("By person", statement.by_person),
        table_of("What it was spent on", statement.by_kind),
    ]


def _notes(statement: PoolStatement, plain: Callable[[str], str]) -> list[str]:
    late = statement.spent_after_end
    notes = [f"{usd(late)} of what is spent was booked after the end."] if late else []
    notes += missing_prices(statement.unknown, plain)
    return notes + price_sources(statement.sources, plain)
