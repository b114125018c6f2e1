"""A problem as a page, for a browser."""

from html import escape
from typing import Any

from prism.errors import Problem

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 15vh auto; }}
code {{ font: 0.9em ui-monospace, monospace; }} h1 {{ font-size: 1.3rem; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e6edf3; background: #0d1117; }} }}
</style><h1>{title}</h1><p>{details}<p>{remediation}<p><small>{code}</small></html>"""
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Vary": "Accept, Sec-Fetch-Dest",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    ),
}


def wants_page(scope: Any) -> bool:
    """Whether the answer should be a page, because a browser navigates there.

    The API always answers JSON, and so do all addresses to programs, which do not ask for
    `text/html`.
    """
    if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
        return False
    if scope["path"].startswith("/api/"):
        return False
    headers = dict(scope["headers"])
    goal = headers.get(b"sec-fetch-dest", b"")
    return goal == b"document" if goal else b"text/html" in headers.get(b"accept", b"")


def page_of(problem: Problem) -> bytes:
    """The page that shows a problem."""
    texts = (problem.message, problem.details, problem.remediation)
    title, details, remediation = (_to_html(text) for text in texts)
    words = {"details": details, "remediation": remediation, "code": problem.code}
    return PAGE.format(title=title, **words).encode()


def _to_html(text: str) -> str:
    """A text as HTML, with commands as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))
