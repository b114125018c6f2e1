"""A problem as a page, for a browser."""

from html import escape
from typing import Any

from prism.errors import Problem

PROBLEM_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width">{again}<title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 15vh auto;
padding: 0 1rem; }}
code {{ font: 0.9em ui-monospace, monospace; }} h1 {{ font-size: 1.3rem; }}
header {{ font-weight: 600; border-bottom: 1px solid #8c8c94; padding-bottom: 0.5rem; }}
a {{ display: inline-block; padding: 0.4rem 1.2rem; border-radius: 1.2rem; color: #fff;
background: #006ce0; font-weight: 600; text-decoration: none; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e6edf3; background: #0d1117; }} }}
</style><header>Prism</header><main><h1>{title}</h1><p>{details}<p>{remediation}{link}<p><small>{code}</small>
</main></html>"""
LOAD_AGAIN = '<meta http-equiv="refresh" content="2">'
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


def page_of(problem: Problem, link: str | None = None, *, again: bool = False) -> bytes:
    """The page that shows a problem; `link` is the page of the GUI where one can go on.

    With `again`, the browser loads the address again soon.
    """
    details = problem.details[:1].upper() + problem.details[1:]  # it follows a heading here
    texts = (problem.message, details, problem.remediation)
    title, details, remediation = (_to_html(text) for text in texts)
    button = f'<p><a href="{escape(link)}">Go on in Prism</a>' if link else ""
    words = {"details": details, "remediation": remediation, "link": button, "code": problem.code}
    words["again"] = LOAD_AGAIN if again else ""
    return PROBLEM_PAGE.format(title=title, **words).encode()


def _to_html(text: str) -> str:
    """A text as HTML, with commands as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))
