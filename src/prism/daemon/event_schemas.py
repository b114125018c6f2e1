"""OpenAPI schemas of events and of the codes of errors, which no route declares as its answer."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import msgspec

from prism.errors import PROBLEMS
from prism.kit.events import RESYNC, Event, SentEvent

Schema = dict[str, Any]
REF = "#/components/schemas/{name}"
LIVE_EVENT = {"$ref": REF.format(name="LiveEvent")}
# Modules with problems that a daemon otherwise imports only when it needs them.
LATE = (
    "prism.providers.aws.account.buckets",
    *("prism.providers.aws.account.identity", "prism.providers.aws.account.setup"),
    *("prism.providers.aws.api.faults", "prism.providers.aws.compute.spot_refusals"),
    *("prism.providers.aws.network.address", "prism.providers.aws.network.subnets"),
    *("prism.providers.aws.prerequisites.images", "prism.providers.aws.ssh.model"),
    *("prism.providers.aws.storage.mounts", "prism.providers.local.location"),
    "prism.providers.mail.smtp",
)
NO_API = {"agent", "cli", "client", "daemon"}  # packages whose problems no request meets
WEBSOCKET: Schema = {
    "operationId": "ApiV1WsListen",
    "summary": "Listen",
    "description": "Send events over WebSocket, each as one text frame.",
    "tags": ["events"],
    "responses": {
        "101": {
            "description": "The protocol is WebSocket from here on; each text frame is an event",
            "content": {"application/json": {"schema": LIVE_EVENT}},
        }
    },
}


def error_codes() -> list[str]:
    """The codes that an answer of the API may have; AWS's own codes may come beside them."""
    for module in LATE:
        import_module(module)
    return sorted(
        code
        for code, problem in PROBLEMS.items()
        if (names := problem.__module__.split("."))[0] == "prism" and names[1] not in NO_API
    )


def event_schemas() -> dict[str, Schema]:
    """A component for each event, one for its data, and `LiveEvent`, which is any of them."""
    kinds = sorted(_kinds(Event), key=lambda kind: kind.event)
    _, shapes = msgspec.json.schema_components(kinds, ref_template=REF)
    _, sent = msgspec.json.schema_components([SentEvent], ref_template=REF)
    common = sent["SentEvent"]
    schemas: dict[str, Schema] = {}
    for kind in kinds:
        shapes[kind.__name__] = _data_of(kind, shapes[kind.__name__])
        data = {"$ref": REF.format(name=kind.__name__)}
        schemas[f"{kind.__name__}Event"] = _event(common, kind.event, data)
    schemas["ResyncEvent"] = _event(common, RESYNC, {"type": "object"})
    choices = [{"$ref": REF.format(name=name)} for name in schemas]
    return {
        **shapes,
        **schemas,
        "LiveEvent": {"anyOf": choices, "discriminator": {"propertyName": "event"}},
    }


def _kinds(base: type[Event]) -> Iterator[type[Event]]:
    for kind in base.__subclasses__():
        if kind.__module__.startswith("prism."):
            if "event" in vars(kind):
                yield kind
            yield from _kinds(kind)


def _data_of(kind: type[Event], shape: Schema) -> Schema:
    """The data of an event: its own fields, and the amounts in dollars beside micro-dollars."""
    own = {
        name: schema
        for name, schema in shape["properties"].items()
        if name not in Event.__struct_fields__
    }
    dollars = {f"{name}_usd": {"type": "number"} for name in sorted(kind.money) if name in own}
    required = [name for name in shape.get("required", ()) if name in own]
    return {**shape, "properties": own | dollars, "required": required}


def _event(common: Schema, name: str, data: Schema) -> Schema:
    properties = {**common["properties"], "event": {"const": name}, "data": data}
    return {**common, "title": name, "properties": properties}
