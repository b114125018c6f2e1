"""Runs Schemathesis against a daemon, and counts its requests and failures."""

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
# A valid request can still be refused with 422 for what a schema cannot express, such as an end
# before its start or an unknown time zone. An invalid port is 400 by the API reference, a
# terminal needs a WebSocket (426), and requests about AWS need an account (424).
SENSE = ["2xx", "3xx", "400", "401", "403", "404", "409", "422", "424", "426"]
SETTINGS = {
    # Waiting would add nothing; `test_values.py` tests the values of `wait`.
    "parameters": {"wait": 0},
    "checks": {"positive_data_acceptance": {"expected-statuses": SENSE}},
    "warnings": False,
    "request-timeout": 300,  # for a busy computer
}


@dataclass
class Exploration:
    """The number of cases and answers by kind, and the failures."""

    cases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.cases.values())

    def take(self, event: Any) -> None:
        """Count the cases and answers of a scenario."""
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
                f"{check.failure_info.code_sample}\n{answer_text(recorder, id)}"
                for check in checks
                if check.failure_info
            ]


def answer_text(recorder: Any, id: str) -> str:
    """The begin of the answer to a case."""
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
) -> Exploration:
    """Send requests generated from the OpenAPI description, also with unexpected `methods`."""
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
    # Event streams never end, answers of a workspace's service are not Prism's, and a trial of a
    # lab server connects to whatever computer the request names.
    for pattern in ("/events$", "/ws$", "^/(web|dcv)-proxy/", "/servers/try$", *skip):
        schema = schema.exclude(path_regex=pattern)
    summary = Exploration()
    try:
        for event in from_schema(schema).execute():
            if isinstance(event, events.NonFatalError | events.FatalError):
                summary.wrong.append(f"{event}")
            elif isinstance(event, events.ScenarioFinished):
                summary.take(event)
    finally:
        asgi.shutdown_lifespans()
    return summary
