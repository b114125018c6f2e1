"""A month of a project on one page, to be signed: pure functions of ledger lines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from html import escape
from typing import NamedTuple

from prism.budgets.model import MonthlyReport, ReportLine
from prism.costs.model import CostExportLine, CostKind
from prism.costs.plan import unless_unknown
from prism.costs.view import WORDS, called, names, percent
from prism.kit.money import Micros, amount, apportioned
from prism.kit.spreadsheet import csv_of

NO_BUDGET = "(no budget)"
STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid;padding:.2rem .5rem}"
    "td+td,th+th{text-align:right;font-variant-numeric:tabular-nums}"
    "@media print{a{display:none}}"
)


class PrintedTable(NamedTuple):
    """A table of a page; the first cell of each row is a name."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def report(
    project: str,
    lines: Sequence[CostExportLine],
    pools: Mapping[str, str],
    first: date,
    end: date,
    *,
    time_zone: str = "UTC",
) -> MonthlyReport:
    """The report of these ledger lines; days begin at midnight of `time_zone`."""
    paid = [line for line in lines if line.kind is not CostKind.ASLEEP]
    total = known([line.micros for line in paid])
    saved = known([line.saved_micros for line in lines])
    money = _budget_names({line.budget for line in paid}, pools)
    return MonthlyReport(
        project=project,
        month=f"{first:%Y-%m}",
        start=first,
        end=end - timedelta(days=1),
        time_zone=time_zone,
        total=None if total is None else amount(total),
        micros=total,
        hibernation_savings=None if saved is None else amount(saved),
        by_kind=shares(((WORDS[line.kind], line) for line in paid), total),
        by_workspace=shares(((called(line.name, line.kind), line) for line in paid), total),
        by_user=shares(((line.user, line) for line in paid), total),
        by_budget=shares(((money[line.budget], line) for line in paid), total),
        sources=tuple(sorted({source_of(line) for line in paid if line.micros})),
        reconstructed_seconds=sum(line.seconds for line in paid if line.reconstructed),
        unknown=names((line.name, line.kind) for line in paid if line.micros is None),
    )


def markdown(report: MonthlyReport) -> str:
    """The report as text, to read and to print."""
    first = f"{_dates(report)} Spent: **{usd(report.total)}**. {_saving(report)}"
    return markdown_page(_title(report), first, _tables(report), _notes(report, plain))


def page(report: MonthlyReport) -> str:
    """The report as a page for a browser."""
    first = f"{_dates(report)} Spent: <strong>{usd(report.total)}</strong>. {_saving(report)}"
    return html_page(_title(report), first, _tables(report), _notes(report, escape))


def _title(report: MonthlyReport) -> str:
    return f"{report.project}: {report.month}"


def table(report: MonthlyReport) -> str:
    """The report for a spreadsheet: section, name, amount, percent, exact micro-dollars."""
    part = None if report.micros is None else 100.0 if report.micros else 0.0
    rows: list[tuple[object, ...]] = [
        (section, share.name, cents(share.cost), share.percentage, share.micros)
        for section in ("kind", "workspace", "user", "budget")
        for share in getattr(report, f"by_{section}")
    ]
    rows.append(("total", report.project, cents(report.total), part, report.micros))
    rows += [("without a price", name, None, None, None) for name in report.unknown]
    return csv_of(("section", "name", "cost", "percentage", "micros"), rows)


def _budget_names(used: Iterable[str | None], pools: Mapping[str, str]) -> dict[str | None, str]:
    """The names of the pools that paid; two pools with one name are shown with their ids."""
    called = {id: NO_BUDGET if id is None else pools.get(id, id) for id in used}
    all_names = list(called.values())
    return {
        id: f"{name} ({id})" if all_names.count(name) > 1 else name for id, name in called.items()
    }


def known(micros: Sequence[int | None]) -> Micros | None:
    """A sum; null if it is zero, and some parts have no known price."""
    total = Micros(sum(part or 0 for part in micros))
    return unless_unknown(total, is_unpriced=None in micros)


def shares(
    named: Iterable[tuple[str, CostExportLine]], total: int | None
) -> tuple[ReportLine, ...]:
    """What was spent by each name; the cents of all with a price add up to their total."""
    of: dict[str, list[CostExportLine]] = {}
    for name, line in named:
        of.setdefault(name, []).append(line)
    sums = {name: known([line.micros for line in lines]) for name, lines in of.items()}
    priced = {name: micros for name, micros in sums.items() if micros is not None}
    paid_of = apportioned(dict(sorted(priced.items(), key=lambda pair: (-pair[1], pair[0]))))
    unpriced = sorted(sums.keys() - priced)
    return (
        *(
            ReportLine(name, paid, percent(priced[name], total or 0), priced[name])
            for name, paid in paid_of.items()
        ),
        *(ReportLine(name, None, None, None) for name in unpriced),
    )


def _dates(report: MonthlyReport) -> str:
    return f"{report.start} to {report.end}, time zone {report.time_zone}."


def _saving(report: MonthlyReport) -> str:
    return f"Saved by hibernation: {usd(report.hibernation_savings)}."


def _tables(report: MonthlyReport) -> list[PrintedTable]:
    return [
        table_of("What it was spent on", report.by_kind),
        table_of("By workspace or volume", report.by_workspace),
        table_of("By person", report.by_user),
        table_of("By budget", report.by_budget),
    ]


def _notes(report: MonthlyReport, plain: Callable[[str], str]) -> list[str]:
    """The sentences below the tables; `plain` escapes a name."""
    notes = missing_prices(report.unknown, plain)
    if report.reconstructed_seconds:
        hours = report.reconstructed_seconds / 3600
        notes.append(
            f"Of all the time billed here, {hours:,.1f} hours have an end that was learned later, "
            "from the provider."
        )
    return notes + price_sources(report.sources, plain)


def missing_prices(unknown: Sequence[str], plain: Callable[[str], str]) -> list[str]:
    """A sentence that names what has no known price, counted as the command line does."""
    if not unknown:
        return []
    kind = "thing" if any(name.endswith(")") for name in unknown) else "workspace"
    many = f"{len(unknown)} {kind}{'' if len(unknown) == 1 else 's'} without a price"
    return [f"{many}, not in the total: {', '.join(plain(name) for name in unknown)}."]


def price_sources(sources: Sequence[str], plain: Callable[[str], str]) -> list[str]:
    """A sentence that says where prices are from."""
    return ["Prices: " + "; ".join(plain(source) for source in sources) + "."] if sources else []


def usd(amount: float | None) -> str:
    """An amount for people."""
    if amount is None:
        return "unknown"
    return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}"


def cents(amount: float | None) -> str:
    """An amount for a spreadsheet; empty if it is unknown."""
    return "" if amount is None else f"{amount:.2f}"


def table_of(title: str, lines: Sequence[ReportLine]) -> PrintedTable:
    """A table of what was spent on each of several things."""
    rows = [
        (line.name, "unknown", "")
        if line.cost is None
        else (line.name, f"{line.cost:,.2f}", f"{line.percentage:.1f}")
        for line in lines
    ]
    return PrintedTable(title, ("", "USD", "%"), rows)


def html_page(title: str, first: str, tables: Iterable[PrintedTable], notes: Iterable[str]) -> str:
    """A page for a browser; `first` and `notes` are HTML already."""
    printed = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{first}</p>",
        *(_html_table(table) for table in tables if table.rows),
        *(f"<p>{note}</p>" for note in notes),
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    body = "\n".join(printed)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'
    )


def markdown_page(
    title: str, first: str, tables: Iterable[PrintedTable], notes: Iterable[str]
) -> str:
    """The same as text; `first` and `notes` are Markdown already."""
    printed = [_markdown_table(table) for table in tables if table.rows]
    return "\n\n".join((f"# {plain(title)}", first, *printed, *notes)) + "\n"


def _markdown_table(table: PrintedTable) -> str:
    rows = [(*map(plain, row[:1]), *row[1:]) for row in table.rows]
    printed = ("| " + " | ".join(row).strip() + " |" for row in (table.head, *rows))
    head, *body = printed
    line = "|---" + "|---:" * (len(table.head) - 1) + "|"
    return "\n".join((f"## {table.title}", "", head, line, *body))


def _html_table(table: PrintedTable) -> str:
    rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in table.rows)
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    head = "".join(f"<th>{cell}</th>" for cell in table.head)
    return f"<h2>{table.title}</h2>\n<table>\n<tr>{head}</tr>\n{body}\n</table>"


def plain(text: str) -> str:
    """A name, escaped for Markdown."""
    for sign in "\\`*_|<>[]":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def source_of(line: CostExportLine) -> str:
    """Where the price of a line is from, with its date."""
    return (
        line.source
        if line.as_of is None or "as of" in line.source
        else f"{line.source}, as of {line.as_of}"
    )
