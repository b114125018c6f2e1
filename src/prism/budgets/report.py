"""A month of a project on one page, for whoever signs it: pure functions of ledger lines."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from html import escape
from io import StringIO

from prism.budgets.model import Report, Share
from prism.costs.model import CostKind, Line
from prism.costs.view import WORDS, called, percent
from prism.kit.money import Micros, amount, apportioned

NO_BUDGET = "(no budget)"
STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid;padding:.2rem .5rem}"
    "td+td,th+th{text-align:right;font-variant-numeric:tabular-nums}"
)


def report(
    project: str,
    lines: Sequence[Line],
    pools: Mapping[str, str],
    first: date,
    end: date,
    *,
    time_zone: str = "UTC",
) -> Report:
    """What the lines of a period add up to; its days begin at midnight of that time zone."""
    paid = [it for it in lines if it.kind is not CostKind.ASLEEP]
    total = _known(paid)
    saved = _known([it for it in lines if it.kind is CostKind.ASLEEP])
    money = _named({it.budget for it in paid}, pools)
    return Report(
        project=project,
        month=f"{first:%Y-%m}",
        start=first,
        end=end - timedelta(days=1),
        time_zone=time_zone,
        total=None if total is None else amount(total),
        micros=total,
        hibernation_savings=None if saved is None else amount(saved),
        by_kind=_shares(((WORDS[it.kind], it) for it in paid), total),
        by_workspace=_shares(((called(it.name, it.kind), it) for it in paid), total),
        by_user=_shares(((it.user, it) for it in paid), total),
        by_budget=_shares(((money[it.budget], it) for it in paid), total),
        sources=tuple(sorted({_source(it) for it in paid if it.micros})),
        reconstructed_seconds=sum(it.seconds for it in paid if it.reconstructed),
        unknown=tuple(sorted({called(it.name, it.kind) for it in paid if it.micros is None})),
    )


def markdown(it: Report) -> str:
    """A report to read and to print."""
    parts = [
        f"# {_plain(it.project)}: {it.month}",
        f"{_when(it)} Spent: **{_usd(it.total)}**. {_saved(it)}",
        *(_table(title, shares) for title, shares in _tables(it)),
        *_notes(it, _plain),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def page(it: Report) -> str:
    """The same for a browser."""
    title = f"{escape(it.project)}: {it.month}"
    parts = [
        f"<h1>{title}</h1>",
        f"<p>{_when(it)} Spent: <strong>{_usd(it.total)}</strong>. {_saved(it)}</p>",
        *(_html_table(title, shares) for title, shares in _tables(it) if shares),
        *(f"<p>{note}</p>" for note in _notes(it, escape)),
    ]
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'
    )


def table(it: Report) -> str:
    """A report for a spreadsheet: section, name, amount, percent, exact micro-dollars."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("section", "name", "cost", "percentage", "micros"))
    sections = ("by_kind", "by_workspace", "by_user", "by_budget")
    for section in sections:
        for share in getattr(it, section):
            first = (section.removeprefix("by_"), _cell(share.name))
            writer.writerow((*first, _cents(share.cost), share.percentage, share.micros))
    part = None if it.micros is None else 100.0 if it.micros else 0.0
    writer.writerow(("total", _cell(it.project), _cents(it.total), part, it.micros))
    for name in it.unknown:
        writer.writerow(("without a price", _cell(name), None, None, None))
    return text.getvalue()


def _named(used: Iterable[str | None], names: Mapping[str, str]) -> dict[str | None, str]:
    """What to call the money that paid; two pools of one name are told apart by their ids."""
    called = {id: NO_BUDGET if id is None else names.get(id, id) for id in used}
    said = list(called.values())
    return {id: f"{it} ({id})" if said.count(it) > 1 else it for id, it in called.items()}


def _known(lines: Sequence[Line]) -> Micros | None:
    """What lines add up to; null where that is nothing, and some have no known price."""
    total = sum(it.micros or 0 for it in lines)
    unknown = any(it.micros is None for it in lines)
    return None if unknown and not total else Micros(total)


def _shares(named: Iterable[tuple[str, Line]], total: int | None) -> tuple[Share, ...]:
    of: dict[str, list[Line]] = {}
    for name, it in named:
        of.setdefault(name, []).append(it)
    sums = {name: _known(lines) for name, lines in of.items()}
    known = {name: it for name, it in sums.items() if it is not None}
    cents = apportioned(dict(sorted(known.items(), key=lambda one: (-one[1], one[0]))))
    shares = [
        Share(name, it, percent(known[name], total or 0), known[name])
        for name, it in cents.items()
    ]
    unknown = sorted(sums.keys() - known)
    return (*shares, *(Share(name, None, None, None) for name in unknown))


def _when(it: Report) -> str:
    return f"{it.start} to {it.end}, time zone {it.time_zone}."


def _saved(it: Report) -> str:
    return f"Saved by hibernation: {_usd(it.hibernation_savings)}."


def _tables(it: Report) -> list[tuple[str, tuple[Share, ...]]]:
    return [
        ("What it was spent on", it.by_kind),
        ("By workspace or volume", it.by_workspace),
        ("By person", it.by_user),
        ("By budget", it.by_budget),
    ]


def _notes(it: Report, plain: Callable[[str], str]) -> list[str]:
    """The sentences below the tables; `plain` makes a name one that is only text there."""
    notes = []
    if it.unknown:
        names = ", ".join(plain(name) for name in it.unknown)
        notes.append(f"{_without_price(it.unknown)}, not in the total: {names}.")
    if it.reconstructed_seconds:
        hours = it.reconstructed_seconds / 3600
        notes.append(
            f"Of all the time billed here, {hours:,.1f} hours have an end that was learned later, "
            "from the provider."
        )
    if it.sources:
        notes.append("Prices: " + "; ".join(plain(source) for source in it.sources) + ".")
    return notes


def _without_price(unknown: Sequence[str]) -> str:
    """How many there are, as the command line counts them."""
    kind = "thing" if any(name.endswith(")") for name in unknown) else "workspace"
    return f"{len(unknown)} {kind}{'' if len(unknown) == 1 else 's'} without a price"


def _usd(amount: float | None) -> str:
    return "unknown" if amount is None else f"${amount:,.2f}"


def _cents(amount: float | None) -> str:
    return "" if amount is None else f"{amount:.2f}"


def _table(title: str, shares: Sequence[Share]) -> str:
    if not shares:
        return ""
    rows = [
        f"| {_plain(it.name)} | unknown | |"
        if it.cost is None
        else f"| {_plain(it.name)} | {it.cost:,.2f} | {it.percentage:.1f} |"
        for it in shares
    ]
    return "\n".join((f"## {title}", "", "| | USD | % |", "|---|---:|---:|", *rows))


def _html_table(title: str, shares: Sequence[Share]) -> str:
    rows = [
        (it.name, "unknown", "")
        if it.cost is None
        else (it.name, f"{it.cost:,.2f}", f"{it.percentage:.1f}")
        for it in shares
    ]
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    body = "\n".join(f"<tr>{row}</tr>" for row in cells)
    head = "<tr><th></th><th>USD</th><th>%</th></tr>"
    return f"<h2>{title}</h2>\n<table>\n{head}\n{body}\n</table>"


def _plain(text: str) -> str:
    """A name that cannot break out of its place in a page."""
    for sign in "\\`*_|<>[]":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _source(it: Line) -> str:
    return (
        it.source if it.as_of is None or "as of" in it.source else f"{it.source}, as of {it.as_of}"
    )
