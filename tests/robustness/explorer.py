"""Schemathesis let loose on a daemon: what it asked, and what it found wrong."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.python import asgi
from schemathesis.schemas import BaseSchema

from prism.kit.gate import AsgiApp
from tests.project.openapi import WRITTEN

AT = "http://localhost:8947"
PHASES = ("examples", "coverage", "fuzzing", "stateful")
# What no schema can say is refused with 422 even where the schema is kept: that an end is after
# its start, that a zone exists. A port is 400 by the reference, a terminal needs a WebSocket, and
# what is asked of AWS needs an account (424).
SENSE = ["2xx", "3xx", "400", "401", "403", "404", "409", "422", "424", "426"]
SETTINGS = {
    # An answer that is held back tells nothing more; test_edges.py looks at what `wait` takes.
    "parameters": {"wait": 0},
    "checks": {"positive_data_acceptance": {"expected-statuses": SENSE}},
    "warnings": False,
    "request-timeout": 300,  # a busy computer answers late
}


@dataclass
class Found:
    """How many cases were tried, what was answered, and what was wrong with it."""

    cases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.cases.values())

    def take(self, event: Any) -> None:
        """Count what a scenario asked."""
        recorder = event.recorder
        self.cases[event.phase.value] += len(recorder.cases)
        self.operations |= {case.value.operation.label for case in recorder.cases.values()}
        answers = [
            interaction.response
            for interaction in recorder.interactions.values()
            if interaction.response
        ]
        self.statuses.update(answer.status_code for answer in answers)
        for id, checks in recorder.checks.items():
            self.wrong += [
                f"{check.name}: {check.failure_info.failure.message}\n"
                f"{check.failure_info.code_sample}\n{said(recorder, id)}"
                for check in checks
                if check.failure_info
            ]


def said(recorder: Any, id: str) -> str:
    """What was answered to a case."""
    answer = getattr(recorder.interactions.get(id), "response", None)
    return str(answer.text[:500]) if answer else ""


def explore(
    app: AsgiApp | None = None,
    url: str = AT,
    phases: Collection[str] = PHASES,
    examples: int = 1,
    seed: int = 1,
    headers: Mapping[str, str] | None = None,
    skip: Collection[str] = (),
    methods: Collection[str] | None = None,
) -> Found:
    """Ask everything that the description makes thinkable, and by `methods` that it lacks."""
    coverage = {"enabled": "coverage" in phases}
    unknown = (
        {} if methods is None else {"coverage": coverage | {"unexpected-methods": [*methods]}}
    )
    config = SchemathesisConfig.from_dict(
        {
            **SETTINGS,
            "seed": seed,
            "base-url": url,
            "headers": headers or {},
            "generation": {"max-examples": examples, "database": "none"},
            "phases": {name: {"enabled": name in phases} for name in PHASES} | unknown,
        }
    )
    schema: BaseSchema = schemathesis.openapi.from_dict(
        json.loads(WRITTEN.read_text()), config=config
    )
    schema.app = app
    # The first two never end; what a workspace's own service answers is its own affair.
    for pattern in ("/events$", "^/(web|dcv)-proxy/", *skip):
        schema = schema.exclude(path_regex=pattern)
    summary = Found()
    try:
        for event in from_schema(schema).execute():
            if isinstance(event, events.NonFatalError | events.FatalError):
                summary.wrong.append(f"{event}")
            elif isinstance(event, events.ScenarioFinished):
                summary.take(event)
    finally:
        asgi.shutdown_lifespans()
    return summary
