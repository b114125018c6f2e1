"""All templates, resolved and checked. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePath
from typing import Literal

import msgspec
from msgspec import structs

from prism.templates.checks import WARNINGS, Check, spelled
from prism.templates.document import Node, SourceLine, TemplateUnreadable, read
from prism.templates.fields import type_errors
from prism.templates.inherit import MissingAncestor, TemplateSource, chains, inherited, lineage
from prism.templates.model import Template, TemplateIssue
from prism.templates.plan import required, runs_locally

MOST_CHAINS = 100


@dataclass(frozen=True, slots=True)
class TemplateFile:
    """A file; `error` says why it could not be read."""

    path: str
    builtin: bool
    raw: bytes = b""
    error: str = ""


@dataclass(frozen=True, slots=True)
class CheckedTemplate:
    """One file and the result of its checks; `template` is set only if it can be used."""

    name: str
    file: str
    builtin: bool
    source: TemplateSource | None = None
    template: Template | None = None
    passed: tuple[str, ...] = ()
    issues: tuple[TemplateIssue, ...] = ()
    local: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[TemplateIssue, ...]:
        """The issues that make it unusable."""
        return tuple(issue for issue in self.issues if issue.level == "error")


class TemplateRegistry:
    """The templates of these files; a person's own come after, and replace, the built-in."""

    def __init__(
        self,
        files: Sequence[TemplateFile],
        checks: Mapping[str, Check],
        has: Callable[[str], bool],
    ) -> None:
        self.programs: dict[str, bool] = {}
        self._checks, self._has = checks, has
        self._sources: dict[str, TemplateSource] = {}
        self._slugs: dict[str, TemplateSource] = {}
        self._clashes: dict[str, TemplateIssue] = {}
        self._slugless: set[str] = set()
        self._results: dict[str, CheckedTemplate] = {}
        self._raw = {file.path: file.raw for file in files}
        failed = [lost for file in files if (lost := self._open(file))]
        for source in sorted(self._sources.values(), key=lambda one: not one.builtin):
            self._note_slug(source)
        known = [self._validated(source) for source in self._sources.values()]
        self.all = tuple(sorted((*known, *failed), key=lambda one: (one.name.lower(), one.file)))

    def find(self, word: str) -> CheckedTemplate | None:
        """The template with that name, else with that slug."""
        source = self._find(word)
        return self._results[source.name] if source else None

    def find_unreadable(self, word: str) -> CheckedTemplate | None:
        """The file of that name that cannot be read as a template."""
        stem = word.strip().lower().replace(" ", "-")
        for checked in self.all:
            if checked.source is None and stem in {
                checked.name.lower(),
                PurePath(checked.file).stem.lower(),
            }:
                return checked
        return None

    def chains(self, checked: CheckedTemplate) -> tuple[str, ...]:
        """The paths from its root ancestors to it, at most `MOST_CHAINS`."""
        assert checked.source is not None
        lineages = islice(chains(checked.source, self._find), MOST_CHAINS)
        return tuple(" → ".join(lineage) for lineage in lineages)

    def raw(self, checked: CheckedTemplate) -> bytes:
        """The bytes of its file; empty if it could not be read."""
        return self._raw[checked.file]

    def names_and_slugs(self) -> list[str]:
        """Every name and slug."""
        return [*self._sources, *self._slugs]

    def _find(self, word: str) -> TemplateSource | None:
        return self._sources.get(word) or self._slugs.get(word)

    def _open(self, file: TemplateFile) -> CheckedTemplate | None:
        """Add the file to the registry; the problem if it cannot be added."""
        lost = CheckedTemplate(PurePath(file.path).name, file.path, file.builtin)
        if file.error:
            issue = TemplateIssue("syntax", "error", file.error, file.path)
            return replace(lost, issues=(issue,))
        try:
            node = read(file.raw, file.path)
        except TemplateUnreadable as error:
            return replace(lost, issues=(_issue("syntax", error.why, error.place, error.field),))
        name = node.entries().get("name")
        if name is None or not isinstance(name.value, str) or not name.value:
            return replace(lost, passed=("syntax",), issues=_schema_issues(node))
        source = TemplateSource(name.value, _slug(node, name.value), file.path, file.builtin, node)
        existing = self._sources.get(source.name)
        if existing and existing.builtin == file.builtin:
            why = f"{source.name!r} is already the name of the template in {existing.file}"
            issue = _issue("unique", why, name.place, "name")
            return replace(lost, name=source.name, passed=("syntax",), issues=(issue,))
        self._sources[source.name] = source
        return None

    def _note_slug(self, source: TemplateSource) -> None:
        other = self._slugs.get(source.slug) or self._sources.get(source.slug)
        if other and source.builtin and not other.builtin:
            self._slugless.add(source.name)  # nobody can correct a packaged file
        elif other and other is not source:
            why = f"{source.slug!r} already means {other.name!r} ({other.file}); give it another"
            place = source.node.at(("slug",) if "slug" in source.node.entries() else ("name",))
            self._clashes[source.name] = _issue("unique", why, place, "slug")
        else:
            self._slugs[source.slug] = source

    def _validated(self, source: TemplateSource) -> CheckedTemplate:
        if source.name not in self._results:
            self._results[source.name] = self._validate(source)
        return self._results[source.name]

    def _validate(self, source: TemplateSource) -> CheckedTemplate:
        name, file, passed = source.name, source.file, ("syntax",)
        checked = CheckedTemplate(name, file, source.builtin, source, passed=passed)
        if clash := self._clashes.get(source.name):
            return replace(checked, issues=(clash,))
        checked = replace(checked, passed=(*checked.passed, "unique"))
        try:
            family = lineage(source, self._find)
        except MissingAncestor as missing:
            check = "cycle" if missing.loop else "parents"
            return replace(
                checked, issues=(_issue(check, missing.why, missing.place, "inherits"),)
            )
        # No template is its own ancestor here, so the recursion ends.
        if issues := tuple(self._inherited_errors(source)):
            return replace(checked, issues=issues)
        checked = replace(checked, passed=(*checked.passed, "parents", "cycle"))
        node = inherited(family)
        if issues := _schema_issues(node):
            return replace(checked, issues=issues)
        template = structs.replace(msgspec.convert(node.plain(), Template), slug=source.slug)
        return self._check(replace(checked, passed=(*checked.passed, "schema")), template, node)

    def _inherited_errors(self, source: TemplateSource) -> list[TemplateIssue]:
        issues = []
        for name, place in source.parents:
            parent = self._find(name)
            if parent and (errors := self._validated(parent).errors):
                why = f"its parent {name!r} is invalid: {errors[0].message} ({errors[0].where})"
                issues.append(_issue("parents", why, place, "inherits"))
        return issues

    def _check(self, checked: CheckedTemplate, template: Template, node: Node) -> CheckedTemplate:
        local = runs_locally(template, self._installed(template))
        problems = {name: [*check(template)] for name, check in self._checks.items()}
        problems["runs-locally"] = [((), why) for why in local]
        issues = tuple(
            _issue(name, why, node.at(path), spelled(path))
            for name, wrong in problems.items()
            for path, why in wrong
        )
        passed = (*checked.passed, *(name for name, wrong in problems.items() if not wrong))
        usable = None if any(issue.level == "error" for issue in issues) else template
        complete = replace(checked, passed=passed, issues=issues, local=local)
        return self._resolve_slug(complete, usable)

    def _resolve_slug(
        self, checked: CheckedTemplate, template: Template | None
    ) -> CheckedTemplate:
        """Drop the slug of a template if another template has that name."""
        if checked.name in self._slugless and checked.source:
            checked = replace(checked, source=replace(checked.source, slug=""))
            template = structs.replace(template, slug="") if template else None
        return replace(checked, template=template)

    def _installed(self, template: Template) -> set[str]:
        for program in required(template):
            if program not in self.programs:
                self.programs[program] = self._has(program)
        return {program for program, present in self.programs.items() if present}


def _schema_issues(node: Node) -> tuple[TemplateIssue, ...]:
    return tuple(
        _issue("schema", why, node.at(path), spelled(path))
        for path, why in type_errors(node, Template)
    )


def _issue(check: str, why: str, place: SourceLine, field: str) -> TemplateIssue:
    level: Literal["error", "warning"] = "warning" if check in WARNINGS else "error"
    return TemplateIssue(check, level, why, f"{place}: {field}" if field else str(place))


def _slug(node: Node, name: str) -> str:
    slug = node.entries().get("slug")
    if slug is not None and isinstance(slug.value, str) and slug.value:
        return slug.value
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
