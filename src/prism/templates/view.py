"""Templates as the wire shows them. Pure."""

from msgspec.structs import replace

from prism.templates.index import PackageLookup, PackageStatus
from prism.templates.model import (
    DEFAULT_BASE,
    UPDATES_UNTIL,
    Template,
    TemplateInfo,
    TemplateIssue,
    TemplateItem,
    TemplateValidation,
)
from prism.templates.registry import CheckedTemplate

EXIST = "packages-exist"


def item_of(checked: CheckedTemplate) -> TemplateItem:
    """A template in the list; of an invalid one only its name and its mistakes."""
    template = checked.template or Template(name=checked.name)
    manager = template.package_manager
    slug = checked.source.slug if checked.source else ""
    return TemplateItem(
        name=template.name,
        description=template.description,
        package_manager=manager,
        packages=template.packages.get(manager, ()) if manager else (),
        users=template.users,
        services=tuple(template.services),
        ports=template.ports,
        validation_status="validated" if checked.template else "invalid",
        slug=slug,
        category=template.category,
        complexity=template.complexity,
        icon=template.icon,
        base=template.base,
        size=template.size,
        family=template.family,
        root_gb=template.root_gb,
        parameters=template.parameters,
        idle_profile=template.idle_profile,
        runs_locally=checked.template is not None and not checked.local,
        local_reasons=checked.local or tuple(issue.message for issue in checked.errors),
        source="built-in" if checked.builtin else "user",
    )


def info_of(checked: CheckedTemplate, template: Template, chains: tuple[str, ...]) -> TemplateInfo:
    """Everything about a template that can be used."""
    base = template.base or DEFAULT_BASE
    return TemplateInfo(
        name=template.name,
        inherits=template.inherits,
        resolved_packages=installed(template),
        resolved_users=template.users,
        resolved_ports=template.ports,
        dependency_chain=chains,
        validation_status="validated",
        troubleshooting_guide=template.troubleshooting,
        slug=template.slug,
        description=template.description,
        file=checked.file,
        source="built-in" if checked.builtin else "user",
        runs_locally=not checked.local,
        local_reasons=checked.local,
        base=base,
        base_updates_until=UPDATES_UNTIL[base],
        resolved=template,
    )


def validated_of(checked: CheckedTemplate) -> TemplateValidation:
    """The results of the checks of one file."""
    return TemplateValidation(
        template=checked.name,
        status="valid" if checked.template else "invalid",
        checks_passed=len(checked.passed),
        issues=checked.issues,
        file=checked.file,
        passed=checked.passed,
    )


def with_index_answer(
    result: TemplateValidation, checked: CheckedTemplate, lookup: PackageLookup
) -> TemplateValidation:
    """The result, with the package index's answer about the pip packages."""
    if lookup.answer is PackageStatus.FOUND:
        passed = (*result.passed, EXIST)
        return replace(result, passed=passed, checks_passed=len(passed))
    place = checked.source.node.at(("packages", "pip")) if checked.source else checked.file
    where = f"{place}: packages.pip"
    if lookup.answer is PackageStatus.MISSING:
        issue = TemplateIssue(EXIST, "error", lookup.words, where)
        return replace(result, status="invalid", issues=(*result.issues, issue))
    issue = TemplateIssue(EXIST, "warning", f"unchecked: {lookup.words}", where)
    return replace(result, issues=(*result.issues, issue))


def installed(template: Template) -> tuple[str, ...]:
    """All packages of a cloud machine: every manager's, without the equivalents for local."""
    packages = (
        package
        for manager, packages in template.packages.items()
        if manager != "pip" or template.package_manager == "pip"
        for package in packages
    )
    return tuple(dict.fromkeys(packages))
