"""The results of long tests, which the tests write into `docs/proofs.md`.

They are written only with `PRISM_WRITE_PROOFS=1`. Each test rewrites its own section, or its row
if its title is `SECTION: CASE`.
"""

import fcntl
import os
import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "proofs.md"
HEAD = """# Proofs

What the tests have shown, in numbers. Each test writes its own section or row;
[tests/proofs.py](../tests/proofs.py) says how to repeat the tests and rewrite this page.
"""
SECTION = re.compile(r"^## (?P<title>.+)\n\n(?P<text>(?:(?!^## ).*\n?)*)", re.MULTILINE)
ROW = re.compile(r"^\| (.+?) \| (.+) \|$", re.MULTILINE)
TOP = ("case", "result")
# The text of each section with several cases.
SHARED = {
    "Killed on a lab server": (
        "A real daemon and a real sshd. The daemon is killed at commits and at requests to the "
        "server, before and after them, started again, and the request is repeated. Orphans are "
        "supervisors or folders without a row, doubles are second ones."
    ),
    "Shares": "One app or the terminal of a workspace, for another person, until it is ended.",
    "A laptop that slept for a day": (
        "Half an hour after a launch, the laptop sleeps for 24 hours, so no survey runs. The "
        "machine goes to sleep by itself when its reservation ends."
    ),
    "A price that rises tenfold while a workspace runs": (
        "The worst case: the price rises when the workspace has just reserved the money for an "
        "hour, the reservation fills the cap, no survey runs until the last second of that hour, "
        "and then hibernation takes ten minutes, for which money is reserved too. The bound is "
        "the difference of the prices for these 70 minutes."
    ),
    "A thousand launches and terminations": (
        "One daemon, with machines in memory. Afterwards no row is left but events, stored "
        "answers for repeated requests, and the ledger. What grows is SQLite's cache of pages, "
        "which has a bound, and compiled statements (decision 045)."
    ),
    "A workspace in Chromium": "A browser uses real workspaces, each on its own origin.",
    "Apps of a shared daemon in Chromium": (
        "A browser opens apps at origins of their own, with TLS of the daemon, and behind Caddy "
        "and nginx with the configuration of `prism team setup`. The services run unchanged."
    ),
    "Disks that are full or fail, and memory that runs out": (
        "Full: the disk of the home is filled to the last byte that the user gets, before each "
        "of the verbs. Failing: the kernel of this run has no device mapper, so neither "
        "dm-flakey nor dm-error. Instead the image of the disk is on a file system that becomes "
        "full, so that the kernel reports an error of the device for each block that was never "
        "written. Memory: the kernel kills the processes of a control group. No acknowledged "
        "request was lost."
    ),
    "Faults in random order": (
        "No acknowledged request was lost, no machine was duplicated or orphaned, no file "
        "of a volume changed, no event number was used twice, and nothing was destroyed because "
        "of the older database that is restored at the end of each seed. The faults: the daemon "
        "is killed (SIGKILL), ended (SIGTERM) or stopped for a while (SIGSTOP); small files are "
        "damaged after a kill (torn); the database is locked, full, without a table (emptied), "
        "unreachable (away) or restarted; a second daemon on the same database (neighbour) is "
        "stopped for a while; calls to AWS fail (cloud)."
    ),
    "Attacks in browsers": (
        "On a shared daemon, Chromium of who is logged in opens the page of an app that somebody "
        "else has written. Ways of a page are `fetch` in four forms, beacons, WebSockets, event "
        "streams, images, scripts, frames and forms. Sessions that have ended on open "
        "connections are in [Open connections](#open-connections), and requests with foreign "
        "`Host` and `Forwarded` of other programs in the table of attacks."
    ),
    "Faults wherever the home lies": (
        "The faults in random order, with SQLite in the home, on a small disk of each kind. In "
        "the middle of the schedule, the home is restarted (plain), restarted behind a link "
        "(linked), moved while workspaces run (moved), copied and given an identity of its own "
        "(copied), or removed and restored elsewhere from an archive and a backup (restored). "
        "Here the full disk is the home's own, filled to the last byte that the user gets. "
        "Nothing was lost, and the original of a copy was as it was left."
    ),
    "Killed on AWS": (
        "In each run of a verb, one thing goes wrong: the daemon is killed at a point, or a call "
        "to AWS loses its answer, arrives twice or is throttled. The points are before and after "
        "each call and each commit. Of similar points, only one is tried; these are the distinct "
        "points. `move` moves a workspace to another project. No run left anything wrong."
    ),
    "Logins at real providers": (
        "Chromium logs in at an identity provider that nobody here wrote, opens JupyterLab, runs "
        "a cell, and is logged out. The people and groups of glewlwyd are in a directory (slapd)."
    ),
    "Money in the API against an independent calculation": (
        "All values of budgets, forecasts, pools, allocations and exports equal those of a "
        "calculation that knows the machines' true times and shares no code with costs and "
        "budgets. Laptops slept for up to four days, daemons restarted, prices changed, and "
        "costs were requested before any survey."
    ),
    "Money on each page against every other page": (
        "Three pools with random periods. Allocations are made, changed, moved and deleted, "
        "pools get other totals and ends, and a project another cap. Numbers on pages that "
        "answer the same question are equal. After a launch, the budget shows what its dry run "
        "said: what is reserved, what is left and how long it lasts. If a launch is refused, "
        "the refusal says for how many hours the money lasts: a launch for so many hours is "
        "granted, and one for an hour more is refused."
    ),
    "Open connections": (
        "Bob has a connection of each kind at once: events, a terminal, the byte streams of SSH "
        "and of a tunnel, a followed log, an upload, a WebSocket and a stream of an app. Then his "
        "right ends in one of the ways."
    ),
    "Random schedules on AWS": (
        "Verbs in random order, with lost, late, doubled, dropped, throttled and stale answers. "
        "No machine was made twice, and each belongs to a workspace."
    ),
    "Requests for money against a sequential model": (
        "A model with its own ledger predicts exactly which requests are granted. Settled and "
        "reserved money equals the model's to the micro-dollar, with laptops asleep for up to "
        "two days."
    ),
    "Robustness of the API": (
        "schemathesis, with all its checks, found no answer with a status of 5xx, and none that "
        "`docs/openapi.json` does not describe. A 422 is allowed for rules that no schema can "
        "express. Event streams and the answers of workspaces' own services are left out."
    ),
    "SIGKILL at every write and call": (
        "The daemon is killed once at each point, which is before or after a commit or a call. "
        "The following is true right after each kill, and for an hour: settled + reserved ≤ cap "
        "for project, allocation and pool; the ledger counts each second in which a machine ran "
        "or was hibernated exactly once, and agrees with the history of the simulated cloud; "
        "each workspace that has not ended has one machine and one reservation; a second "
        "workspace, which does not fit, is still refused. `move` moves a workspace to another "
        "project, `renewal` extends a reservation, and `settlement` computes the costs so far."
    ),
    "Storage on AWS": (
        "Volumes are made, used and deleted while something goes wrong. No volume is made twice, "
        "each has its tags, and in the end nothing is lost or left over."
    ),
    "The ledger against a recount": (
        "Every total, day, week, month and number of distinct workspaces equals a recount of the "
        "segments to the micro-dollar. Some segments become known up to three days late."
    ),
    "Two hundred launches race": (
        "200 launches from 16 threads. Settled + reserved ≤ cap for project, allocation and "
        "pool, also half an hour later."
    ),
}


def record(title: str, text: str) -> None:
    """Writes a result as a section, or as a row of a section."""
    if not os.environ.get("PRISM_WRITE_PROOFS"):
        return
    with open(__file__) as lock:  # several test processes may write
        fcntl.flock(lock, fcntl.LOCK_EX)
        PAGE.write_text(written(PAGE.read_text() if PAGE.exists() else HEAD, title, text))


def written(page: str, title: str, text: str) -> str:
    """The page with this section or row."""
    sections = {match["title"]: match["text"].strip() for match in SECTION.finditer(page)}
    section, _, case = title.partition(": ")
    if case:
        rows = dict(ROW.findall(sections.get(section, ""))) | {case: text}
        rows.pop(TOP[0], None)
        lines = [f"| {row} | {rows[row]} |" for row in sorted(rows)]
        text = "\n".join((SHARED[section], "", "| {} | {} |".format(*TOP), "|---|---|", *lines))
    sections[section] = text.strip()
    parts = [
        HEAD.strip(),
        *(f"## {section}\n\n{sections[section]}" for section in sorted(sections)),
    ]
    return "\n\n".join(parts) + "\n"
