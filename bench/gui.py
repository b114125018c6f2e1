"""The web GUI in a real browser, before a daemon with 1,000 workspaces."""

import json
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from living import daemon, home
from load import Connection
from page import Report
from playwright.sync_api import Page, sync_playwright
from reads import launched

BUILT = Path(__file__).parents[1] / "src" / "prism" / "web"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
SHOWN, PACE, CALM = 50, 0.05, 60.0  # rows of a page; seconds between changes; seconds of calm
LOADS, PAGES, ROUNDS = 5, 10, 4
# Notes when each row of the table first shows another state than before, on the wall clock.
WATCH = """
() => {
  window.seen = [];
  const known = new Map();
  const look = () => {
    for (const row of document.querySelectorAll("tbody tr")) {
      const name = row.querySelector("th")?.textContent.trim();
      const state = row.textContent.match(/Running|Stopping|Stopped|Starting/)?.[0];
      if (name && state && known.get(name) !== state) {
        if (known.has(name)) window.seen.push([name, Date.now()]);
        known.set(name, state);
      }
    }
  };
  look();
  new MutationObserver(() => requestAnimationFrame(look)).observe(document.body, {
    subtree: true, childList: true, characterData: true,
  });
}
"""
ALL_SEEN = "names => names.every(name => window.seen.some(it => it[0] === name))"
NEXT_PAGE = """
async button => {
  const first = () => document.querySelector("tbody tr th")?.innerText;
  const before = first(), began = performance.now();
  button.click();
  while (first() === before) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}
"""


def gui(report: Report) -> None:
    """Measure loading, changes, paging and requests."""
    with home() as folder, daemon(folder) as server, sync_playwright() as play:
        launched(server.port, range(1000), report)
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            _first_route(page, server.port, report)
            _changes(page, server.port, report)
            _paging(page, report)
            _idle_requests(page, report)
        finally:
            browser.close()


def _first_route(page: Page, port: int, report: Report) -> None:
    """The compressed size of what the first page loads, and the time until it is usable."""
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.goto(f"http://localhost:{port}/")
    page.get_by_role("heading", level=1).first.wait_for()
    page.wait_for_load_state("networkidle")
    sizes = {url: _compressed(url) for url in set(urls) if "/api/" not in url}
    loaded = sum(sizes.values())
    label = "GUI, first route: everything that is loaded, brotli"
    report.say(label, f"{loaded / 1000:,.0f} KB", "≤ 350 KB", loaded <= 350_000)
    before, took = set(urls), []
    for number in range(LOADS):
        began = time.perf_counter()
        page.goto(f"http://localhost:{port}/workspaces")
        page.locator("tbody tr th").first.wait_for()
        took.append((time.perf_counter() - began) * 1000)
        if number == 0:
            more = sum(_compressed(url) for url in {*urls} - before if "/api/" not in url)
            report.say("… what the list of workspaces loads in addition", f"{more / 1000:,.0f} KB")
    report.say("… until 1,000 workspaces are listed, for the first time", f"{took[0]:,.0f} ms")
    again = median(took[1:])
    report.say("… again", f"{again:,.0f} ms", "≤ 1,500 ms", again <= 1500)


def _compressed(url: str) -> int:
    path = "/" + url.split("/", 3)[3].partition("?")[0]
    for name in (f"{path}.br", path, "/index.html.br"):
        file = BUILT / name.lstrip("/")
        if file.is_file():
            return file.stat().st_size
    return 0


def _changes(page: Page, port: int, report: Report) -> None:
    """Twenty changes a second: the time from before each request until the page shows it."""
    page.locator("tbody tr").nth(SHOWN - 1).wait_for()
    page.evaluate(WATCH)
    late: list[float] = []
    with closing(Connection(port)) as to:
        for verb in ("stop", "start") * (ROUNDS // 2):
            page.evaluate("window.seen = []")
            sent_at = {}
            for number in range(SHOWN):
                sent_at[f"w{number}"] = time.time() * 1000
                answer = to.ask(f"/api/v1/instances/w{number}/{verb}", "POST")
                if answer.status != 200:
                    raise RuntimeError(f"{verb}: {answer.status} {answer.body[:200]!r}")
                time.sleep(PACE)
            _wait(partial(_settled, to, verb))
            _wait(partial(page.evaluate, ALL_SEEN, sorted(sent_at)))
            first: dict[str, float] = {}
            for name, at in page.evaluate("window.seen"):
                first.setdefault(name, at)
            late += [first[name] - at for name, at in sent_at.items()]
    worst = quantiles(late, n=20)[18]
    label = f"… from a request to its change on the screen, {len(late)} at 20/s, p50"
    report.say(label, f"{median(late):.0f} ms")
    report.say("… p95", f"{worst:.0f} ms", "≤ 250 ms", worst <= 250)


def _settled(to: Connection, verb: str) -> bool:
    expected = {"stop": "stopped", "start": "running"}[verb]
    workspaces: list[dict[str, Any]] = json.loads(to.ask("/api/v1/instances").body)
    states = {workspace["name"]: workspace["state"] for workspace in workspaces}
    return all(states[f"w{number}"] == expected for number in range(SHOWN))


def _wait(fact: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not fact():
        if time.monotonic() > until:
            raise RuntimeError("it did not become so")
        time.sleep(0.1)


def _paging(page: Page, report: Report) -> None:
    """To the next page of the table, from the click to the frame that shows it."""
    following = page.get_by_role("button", name="Next page")
    took = [page.evaluate(NEXT_PAGE, following.element_handle()) for _ in range(PAGES)]
    middle = median(took)
    report.say("… the table's next page", f"{middle:.0f} ms", "≤ 100 ms", middle <= 100)


def _idle_requests(page: Page, report: Report) -> None:
    """The requests of a minute in which nothing changes."""
    page.wait_for_load_state("networkidle")
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.wait_for_timeout(CALM * 1000)
    report.say("… requests in a calm minute", f"{len(urls)}", "0", not urls)
