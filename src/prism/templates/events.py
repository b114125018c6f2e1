"""The events of templates."""

from typing import ClassVar

from prism.kit.events import Event


class TemplateValidationCompleted(Event, frozen=True, kw_only=True):
    """All templates were checked."""

    event: ClassVar[str] = "template_validation_completed"
    total_templates: int
    validated: int
    errors: tuple[str, ...]
