"""A month of a project on one page, to be signed: pure functions of ledger lines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from html import escape

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
)


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
    total = _known([line.micros for line in paid])
    saved = _known([line.saved_micros for line in lines])
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
        by_kind=_shares(((WORDS[line.kind], line) for line in paid), total),
        by_workspace=_shares(((called(line.name, line.kind), line) for line in paid), total),
        by_user=_shares(((line.user, line) for line in paid), total),
        by_budget=_shares(((money[line.budget], line) for line in paid), total),
        sources=tuple(sorted({_source(line) for line in paid if line.micros})),
        reconstructed_seconds=sum(line.seconds for line in paid if line.reconstructed),
        unknown=names((line.name, line.kind) for line in paid if line.micros is None),
    )


def markdown(report: MonthlyReport) -> str:
    """The report as text, to read and to print."""
    parts = [
        f"# {_plain(report.project)}: {report.month}",
        f"{_dates(report)} Spent: **{_usd(report.total)}**. {_saving(report)}",
        *(_table(title, shares) for title, shares in _tables(report)),
        *_notes(report, _plain),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def page(report: MonthlyReport) -> str:
    """The report as a page for a browser."""
    title = f"{escape(report.project)}: {report.month}"
    parts = [
        f"<h1>{title}</h1>",
        f"<p>{_dates(report)} Spent: <strong>{_usd(report.total)}</strong>. {_saving(report)}</p>",
        *(_html_table(title, shares) for title, shares in _tables(report) if shares),
        *(f"<p>{note}</p>" for note in _notes(report, escape)),
    ]
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'
    )


def table(report: MonthlyReport) -> str:
    """The report for a spreadsheet: section, name, amount, percent, exact micro-dollars."""
    part = None if report.micros is None else 100.0 if report.micros else 0.0
    rows: list[tuple[object, ...]] = [
        (section, share.name, _cents(share.cost), share.percentage, share.micros)
        for section in ("kind", "workspace", "user", "budget")
        for share in getattr(report, f"by_{section}")
    ]
    rows.append(("total", report.project, _cents(report.total), part, report.micros))
    rows += [("without a price", name, None, None, None) for name in report.unknown]
    return csv_of(("section", "name", "cost", "percentage", "micros"), rows)


def _budget_names(used: Iterable[str | None], pools: Mapping[str, str]) -> dict[str | None, str]:
    """The names of the pools that paid; two pools with one name are shown with their ids."""
    called = {id: NO_BUDGET if id is None else pools.get(id, id) for id in used}
    all_names = list(called.values())
    return {
        id: f"{name} ({id})" if all_names.count(name) > 1 else name for id, name in called.items()
    }


def _known(micros: Sequence[int | None]) -> Micros | None:
    """A sum; null if it is zero, and some parts have no known price."""
    total = Micros(sum(part or 0 for part in micros))
    return unless_unknown(total, is_unpriced=None in micros)


def _shares(
    named: Iterable[tuple[str, CostExportLine]], total: int | None
) -> tuple[ReportLine, ...]:
    of: dict[str, list[CostExportLine]] = {}
    for name, line in named:
        of.setdefault(name, []).append(line)
    sums = {name: _known([line.micros for line in lines]) for name, lines in of.items()}
    known = {name: micros for name, micros in sums.items() if micros is not None}
    cents = apportioned(dict(sorted(known.items(), key=lambda pair: (-pair[1], pair[0]))))
    shares = [
        ReportLine(name, paid, percent(known[name], total or 0), known[name])
        for name, paid in cents.items()
    ]
    unknown = sorted(sums.keys() - known)
    return (*shares, *(ReportLine(name, None, None, None) for name in unknown))


def _dates(report: MonthlyReport) -> str:
    return f"{report.start} to {report.end}, time zone {report.time_zone}."


def _saving(report: MonthlyReport) -> str:
    return f"Saved by hibernation: {_usd(report.hibernation_savings)}."


def _tables(report: MonthlyReport) -> list[tuple[str, tuple[ReportLine, ...]]]:
    return [
        ("What it was spent on", report.by_kind),
        ("By workspace or volume", report.by_workspace),
        ("By person", report.by_user),
        ("By budget", report.by_budget),
    ]


def _notes(report: MonthlyReport, plain: Callable[[str], str]) -> list[str]:
    """The sentences below the tables; `plain` escapes a name."""
    notes = []
    if report.unknown:
        unknown = ", ".join(plain(name) for name in report.unknown)
        notes.append(f"{_without_price(report.unknown)}, not in the total: {unknown}.")
    if report.reconstructed_seconds:
        hours = report.reconstructed_seconds / 3600
        notes.append(
            f"Of all the time billed here, {hours:,.1f} hours have an end that was learned later, "
            "from the provider."
        )
    if report.sources:
        notes.append("Prices: " + "; ".join(plain(source) for source in report.sources) + ".")
    return notes


def _without_price(unknown: Sequence[str]) -> str:
    """How many lines have no known price, as the command line counts them."""
    kind = "thing" if any(name.endswith(")") for name in unknown) else "workspace"
    return f"{len(unknown)} {kind}{'' if len(unknown) == 1 else 's'} without a price"


def _usd(amount: float | None) -> str:
    return "unknown" if amount is None else f"${amount:,.2f}"


def _cents(amount: float | None) -> str:
    return "" if amount is None else f"{amount:.2f}"


def _table(title: str, shares: Sequence[ReportLine]) -> str:
    if not shares:
        return ""
    rows = [
        f"| {_plain(share.name)} | unknown | |"
        if share.cost is None
        else f"| {_plain(share.name)} | {share.cost:,.2f} | {share.percentage:.1f} |"
        for share in shares
    ]
    return "\n".join((f"## {title}", "", "| | USD | % |", "|---|---:|---:|", *rows))


def _html_table(title: str, shares: Sequence[ReportLine]) -> str:
    rows = [
        (share.name, "unknown", "")
        if share.cost is None
        else (share.name, f"{share.cost:,.2f}", f"{share.percentage:.1f}")
        for share in shares
    ]
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    body = "\n".join(f"<tr>{row}</tr>" for row in cells)
    head = "<tr><th></th><th>USD</th><th>%</th></tr>"
    return f"<h2>{title}</h2>\n<table>\n{head}\n{body}\n</table>"


def _plain(text: str) -> str:
    """A name, escaped for the page."""
    for sign in "\\`*_|<>[]":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _source(line: CostExportLine) -> str:
    return (
        line.source
        if line.as_of is None or "as of" in line.source
        else f"{line.source}, as of {line.as_of}"
    )
