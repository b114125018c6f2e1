"""Builds the documentation's site from the pages of the repository.

MkDocs needs all pages below one folder. So the pages are copied there with the paths of the
repository, and each source file that a page links to becomes a page that shows it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from scripts import reference

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / ".tools" / "docs-pages"
SITE = ROOT / "dist" / "docs"
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "web/README.md")
LINK = re.compile(r"\]\(((?!https?:|#)[^)#\s]+)(#[^)\s]*)?\)")
HISTORY = {"CHANGELOG.md", "proofs.md"}
NOT_IN_SEARCH = "---\nsearch: {exclude: true}\n---\n"
LATE_IN_SEARCH = "---\nsearch: {boost: 0.001}\n---\n"
SHOWN = {".py": "python", ".sh": "sh", ".yml": "yaml", ".json": "json"}
FENCE = re.compile(r"^ *(`{3,}|~{3,})", re.MULTILINE)
# A browser starts no worker from a file. The theme replaces workers by a script of another site.
SHIM = re.compile(r'<script src="https://unpkg\.com/iframe-worker/shim"></script>')
WORKER = """if (location.protocol === "file:") {{
  const Native = Worker;
  const url = URL.createObjectURL(new Blob([{source}], {{ type: "text/javascript" }}));
  window.Worker = function () {{ return new Native(url); }};
}}
"""
REMOTE = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^\s\">]+")


def main() -> int:
    """Build the site; a warning of MkDocs, or a page that loads from elsewhere, is an error."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for name in [*TOP, *pages_below("docs")]:
        copy(ROOT / name)
    for name, generated in reference.PAGES.items():
        put(Path(name), generated())
    for extra in (ROOT / "docs").rglob("*"):
        if extra.is_file() and extra.suffix != ".md":
            shutil.copy(extra, at(extra.relative_to(ROOT)))
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean"]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    build = subprocess.run(
        command, cwd=ROOT, env=quiet, check=False, capture_output=True, text=True
    )
    if build.returncode:
        sys.stderr.write(build.stderr)
        return build.returncode
    search_without_a_server()
    pages = SITE.rglob("*.html")
    remote = [f"{page.relative_to(SITE)}: {tag}" for page in pages for tag in remote_tags(page)]
    message = "\n".join(remote) or f"The documentation is at {SITE.relative_to(ROOT)}/index.html"
    sys.stdout.write(f"{message}\n")
    return bool(remote)


def search_without_a_server() -> None:
    """Let a page that is opened from a file search with a worker that it holds as text."""
    scripts = SITE / "assets" / "javascripts"
    [worker] = scripts.glob("workers/search.*.min.js")
    script = scripts / "worker-from-text.js"
    script.write_text(WORKER.format(source=json.dumps(worker.read_text())))
    for page in SITE.rglob("*.html"):
        tag = f'<script src="{os.path.relpath(script, page.parent)}"></script>'
        page.write_text(SHIM.sub(tag, page.read_text()))


def pages_below(folder: str) -> list[str]:
    """The pages of a folder, from the root of the repository."""
    return sorted(str(page.relative_to(ROOT)) for page in (ROOT / folder).rglob("*.md"))


def copy(page: Path) -> None:
    """Copy a page; its links to source files become links to the pages of these files."""

    def to_page(link: re.Match[str]) -> str:
        target = (page.parent / link[1]).resolve()
        is_copied = ROOT / "docs" in target.parents
        if is_copied or target.suffix not in SHOWN or not target.is_file():
            return link[0]
        show(target)
        return f"]({link[1]}.md{link[2] or ''})"

    name = page.relative_to(ROOT)
    search = LATE_IN_SEARCH if name.parent.name == "decisions" or name.name in HISTORY else ""
    put(name, search + LINK.sub(to_page, page.read_text()))


def show(source: Path) -> None:
    """Make a page of a source file."""
    name, text = source.relative_to(ROOT), source.read_text()
    fence = "`" * (max((len(marks) for marks in FENCE.findall(text)), default=2) + 1)
    page = f"{NOT_IN_SEARCH}# {name}\n\n{fence}{SHOWN[source.suffix]}\n{text}{fence}\n"
    put(name.with_name(f"{name.name}.md"), page)


def put(name: Path, text: str) -> None:
    """Write a page."""
    at(name).write_text(text)


def at(name: Path) -> Path:
    """The path of a file among the pages; makes its folder."""
    target = PAGES / name
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def remote_tags(page: Path) -> list[str]:
    """The tags of a built page that load from elsewhere."""
    return [match[0] for match in REMOTE.finditer(page.read_text())]


if __name__ == "__main__":
    sys.exit(main())
