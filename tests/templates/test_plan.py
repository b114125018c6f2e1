"""Launching: whether a template runs on this computer, and whether its parameters are valid."""

import math

import pytest

from prism.errors import ValidationFailed
from prism.templates.model import Service, Template, TemplateInvalid, TemplateParameter
from prism.templates.plan import (
    local_refusal,
    parameters_for,
    required,
    runs_locally,
    value_errors,
)

SERVED = Service(command="serve", port=80, requires=("rserver", "R"))


@pytest.mark.parametrize(
    ("fields", "programs", "reasons_expected"),
    [
        ({}, (), []),
        ({"package_manager": "pip", "packages": {"pip": ("numpy",)}}, (), []),
        ({"package_manager": "conda", "packages": {"conda": ("r",), "pip": ("x",)}}, (), []),
        ({"package_manager": "conda", "packages": {"conda": ("r",), "pip": ()}}, (), []),
        ({"package_manager": "apt", "packages": {"apt": ()}}, (), []),
        ({"packages": {"apt": ("git",)}}, (), ["come from apt, and it lists no pip equivalents"]),
        ({"packages": {"apt": ("g",), "conda": ("r",)}}, (), ["come from apt and conda"]),
        ({"services": {"r": SERVED}}, ("rserver", "R"), []),
        ({"services": {"r": SERVED}}, ("R",), ["r needs the program 'rserver', which is not"]),
        ({"services": {"r": SERVED}}, (), ["r needs the program 'rserver'", "'R'"]),
        ({"services": {"r": SERVED, "s": SERVED}}, ("R",), ["r and s needs the program"]),
        ({"packages": {"dnf": ("x",)}, "services": {"r": SERVED}}, ("R",), ["dnf", "rserver"]),
    ],
)
def test_runs_locally_returns_every_reason_why_not(fields, programs, reasons_expected):
    reasons = runs_locally(Template(name="t", **fields), programs)
    assert len(reasons) == len(reasons_expected)
    for reason, part in zip(reasons, reasons_expected, strict=True):
        assert part in reason


def test_program_that_two_services_require_is_listed_once():
    services = {"r": SERVED, "s": Service(command="x", port=1, requires=("R", "git"))}
    assert required(Template(name="t", services=services)) == ("rserver", "R", "git")


def test_local_refusal_has_the_reasons_and_a_remediation():
    problem = local_refusal(Template(name="R"), ("no R here", "no rserver here"))
    assert isinstance(problem, TemplateInvalid)
    assert problem.code == "TEMPLATE_INVALID"
    assert problem.message == "'R' does not run on this machine"
    assert problem.details == "no R here; no rserver here"
    assert "'Data Science (pip)'" in problem.remediation
    assert "AWS profile" in problem.remediation
    assert problem.data == {"reasons": ["no R here", "no rserver here"]}


@pytest.mark.parametrize(
    ("fields", "value", "reasons_expected"),
    [
        ({"type": "string"}, "x", None),
        ({"type": "string"}, "", None),
        ({"type": "string"}, "Zürich 3", None),
        ({"type": "string"}, 5, "must be a string, not an integer"),
        ({"type": "string"}, "two\nlines", "one line"),
        ({"type": "string"}, "zero\0byte", "one line"),
        ({"type": "string", "pattern": "[a-z]+"}, "abc", None),
        ({"type": "string", "pattern": "[a-z]+"}, "abc; rm", "must match [a-z]+"),
        ({"type": "string", "choices": ("a", "b")}, "b", None),
        ({"type": "string", "choices": ("a", "b")}, "c", "must be one of a, b"),
        ({"type": "integer"}, 5, None),
        ({"type": "integer"}, 5.0, "must be an integer, not a number"),
        ({"type": "integer"}, "5", "must be an integer, not a string"),
        ({"type": "integer"}, True, "must be an integer, not a boolean"),
        ({"type": "integer"}, None, "must be an integer, not null"),
        ({"type": "integer"}, [5], "must be an integer, not a list"),
        ({"type": "integer", "minimum": 1, "maximum": 3}, 3, None),
        ({"type": "integer", "minimum": 1, "maximum": 3}, 0, "must be at least 1"),
        ({"type": "integer", "minimum": 1, "maximum": 3}, 4, "must be at most 3"),
        ({"type": "integer", "choices": (0, 1)}, 1, None),
        ({"type": "boolean", "choices": (0, 1)}, True, "must be one of 0, 1"),
        ({"type": "number"}, 5, None),
        ({"type": "number"}, 5.5, None),
        ({"type": "number", "minimum": 0.5}, 0.25, "must be at least 0.5"),
        ({"type": "number"}, math.nan, "must be a number, not nan"),
        ({"type": "number"}, -math.inf, "must be a number, not -inf"),
        ({"type": "number"}, False, "must be a number, not a boolean"),
        ({"type": "boolean"}, False, None),
        ({"type": "boolean"}, 0, "must be a boolean, not an integer"),
        ({"type": "boolean"}, "true", "must be a boolean, not a string"),
    ],
)
def test_parameter_value_is_accepted_or_has_a_reason(fields, value, reasons_expected):
    wrong = value_errors(TemplateParameter(**fields), value)
    assert len(wrong) == (reasons_expected is not None)
    if reasons_expected:
        assert reasons_expected in wrong[0]


APP = Template(
    name="An App",
    slug="an-app",
    parameters={
        "file": TemplateParameter(type="string", default="app.py"),
        "workers": TemplateParameter(type="integer", minimum=1),
        "debug": TemplateParameter(type="boolean", default=False),
    },
)


def test_parameters_get_their_defaults_in_the_order_of_the_template():
    assert [*parameters_for(APP, {"workers": 2, "file": "x.py"}).items()] == [
        ("file", "x.py"),
        ("workers", 2),
        ("debug", False),
    ]
    assert parameters_for(Template(name="t"), {}) == {}


def test_every_invalid_parameter_is_named():
    with pytest.raises(ValidationFailed) as caught:
        parameters_for(APP, {"fil": "x", "debug": 1})
    assert caught.value.data == {
        "fields": [
            {
                "field": "parameters.fil",
                "why": "there is no such parameter; did you mean 'file'?",
            },
            {"field": "parameters.workers", "why": "is required: an integer"},
            {"field": "parameters.debug", "why": "must be a boolean, not an integer"},
        ]
    }
    assert caught.value.remediation == "See `prism template info an-app`"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (APP, "it has file, workers, debug"),
        (Template(name="Bare"), "'Bare' has no parameters"),
    ],
)
def test_unknown_parameter_error_lists_the_known_parameters(template, why):
    with pytest.raises(ValidationFailed) as caught:
        parameters_for(template, {"workers": 1, "zzzz": 1} if template is APP else {"zzzz": 1})
    assert why in caught.value.details
