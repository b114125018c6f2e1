"""Finds templates in memory, and reads them again when a file changes."""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches

from prism.kit.actor import Who
from prism.kit.db import Database
from prism.kit.programs import on_path
from prism.templates.checks import CHECKS, Machines, machine_check
from prism.templates.events import TemplateValidationCompleted
from prism.templates.index import PackageLookup, PackageStatus, look_up
from prism.templates.model import (
    Template,
    TemplateInfo,
    TemplateInvalid,
    TemplateItem,
    TemplateNotFound,
    TemplateValidation,
    TemplateYaml,
    ValidationReport,
)
from prism.templates.registry import CheckedTemplate, TemplateRegistry
from prism.templates.store import Stamp, TemplateFolder
from prism.templates.view import info_of, item_of, validated_of, with_index_answer

LookUp = Callable[[Sequence[str]], PackageLookup]
UNCHECKED_LOOKUP = PackageLookup(PackageStatus.UNCHECKED, "it is asked for another request")
MOST_SIMILAR = 3


@dataclass(frozen=True, slots=True)
class _State:
    stamps: tuple[Stamp, ...]
    registry: TemplateRegistry
    items: tuple[TemplateItem, ...]


class TemplateService:
    """The templates in these folders; a later folder replaces an earlier one's by name."""

    def __init__(
        self,
        template_folders: Sequence[TemplateFolder],
        db: Database | None = None,
        actor: Who = str,
        machines: Machines | None = None,
        has: Callable[[str], bool] = on_path,
    ) -> None:
        self._folders, self._db, self._actor, self._has = template_folders, db, actor, has
        self._checks = CHECKS | ({"machine": machine_check(machines)} if machines else {})
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._read: _State | None = (
            None  # read for the first request, so that a start does not wait
        )

    def named(self, word: str) -> Template:
        """The template of that name, else of that slug, with all it inherits."""
        return self._usable(self._current().registry, word)[1]

    def all(self) -> list[tuple[Template, bool]]:
        """Every template that can be used, and whether it runs on this machine."""
        known = self._current().registry.all
        return [(checked.template, not checked.local) for checked in known if checked.template]

    def items(self) -> tuple[TemplateItem, ...]:
        """Every template as the list shows it, invalid ones too."""
        return self._current().items

    def info(self, word: str) -> TemplateInfo:
        """Everything about one template."""
        registry = self._current().registry
        checked, template = self._usable(registry, word)
        return info_of(checked, template, registry.chains(checked))

    def yaml(self, word: str) -> TemplateYaml:
        """A template as its author wrote it, even if it is invalid."""
        registry = self._current().registry
        checked = self._find(registry, word)
        return TemplateYaml(
            name=checked.name,
            file=checked.file,
            source="built-in" if checked.builtin else "user",
            yaml=registry.raw(checked).decode(errors="replace"),
        )

    def validate(self, packages: bool = False) -> ValidationReport:
        """Check all templates; with `packages`, ask the package index about theirs too."""
        registry = self._current().registry
        results = [validated_of(checked) for checked in registry.all]
        if packages:
            with self._index() as ask:
                pairs = zip(results, registry.all, strict=True)
                results = [_with_index(result, checked, ask) for result, checked in pairs]
        valid = sum(result.status == "valid" for result in results)
        issues = (issue for result in results for issue in result.issues)
        errors = tuple(
            f"{issue.where}: {issue.message}" for issue in issues if issue.level == "error"
        )
        self._record_validation(len(results), valid, errors)
        return ValidationReport(
            total_templates=len(results),
            validated=valid,
            errors=errors,
            validation_results=tuple(results),
        )

    @contextmanager
    def _index(self) -> Iterator[LookUp]:
        """What asks the package index; one request at a time, as it may take minutes."""
        if not self._asking.acquire(blocking=False):
            yield lambda _: UNCHECKED_LOOKUP
            return
        try:
            yield look_up
        finally:
            self._asking.release()

    def _record_validation(self, total: int, valid: int, errors: tuple[str, ...]) -> None:
        if self._db is None:
            return
        with self._db.write() as tx:
            tx.happened(
                TemplateValidationCompleted(
                    actor=self._actor(),
                    subject="templates",
                    total_templates=total,
                    validated=valid,
                    errors=errors,
                )
            )

    def _find(self, registry: TemplateRegistry, word: str) -> CheckedTemplate:
        if (checked := registry.find(word) or registry.find_unreadable(word)) is None:
            raise TemplateNotFound(
                f"There is no template {word!r}",
                details=_similar(registry, word),
                remediation="See `prism template list`",
            )
        return checked

    def _usable(self, registry: TemplateRegistry, word: str) -> tuple[CheckedTemplate, Template]:
        checked = self._find(registry, word)
        if checked.template is None:
            errors = [f"{issue.where}: {issue.message}" for issue in checked.errors]
            raise TemplateInvalid(
                f"Template {checked.name!r} cannot be used",
                details="; ".join(errors),
                remediation="Correct the file, then see `prism template validate`",
                data={"issues": errors},
            )
        return checked, checked.template

    def _current(self) -> _State:
        if (read := self._read) and self._is_current(read):
            return read
        with self._lock:
            if not (self._read and self._is_current(self._read)):
                self._read = self._load()
            return self._read

    def _is_current(self, read: _State) -> bool:
        stamps = tuple(folder.stamp() for folder in self._folders)
        programs = read.registry.programs.items()
        return stamps == read.stamps and all(self._has(name) == was for name, was in programs)

    def _load(self) -> _State:
        # the stamps come first: a file that is written meanwhile is read again next time
        stamps = tuple(folder.stamp() for folder in self._folders)
        files = [file for folder in self._folders for file in folder.files()]
        registry = TemplateRegistry(files, self._checks, self._has)
        items = tuple(item_of(checked) for checked in registry.all if checked.source)
        return _State(stamps, registry, items)


def _with_index(
    result: TemplateValidation, checked: CheckedTemplate, ask: LookUp
) -> TemplateValidation:
    packages = checked.template.packages.get("pip") if checked.template else None
    return with_index_answer(result, checked, ask(packages)) if packages else result


def _similar(registry: TemplateRegistry, word: str) -> str:
    """Which template may have been meant: by its name, else by a word in its description."""
    if close := get_close_matches(word, registry.names_and_slugs(), n=1, cutoff=0.5):
        return f"did you mean {close[0]!r}?"
    named = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE) if word else None
    offering = [
        checked.name
        for checked in registry.all
        if named and checked.template and named.search(checked.template.description)
    ]
    if offering:
        return f"these have it: {', '.join(map(repr, offering[:MOST_SIMILAR]))}"
    return "nothing has a similar name"
