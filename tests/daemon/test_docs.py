"""The OpenAPI document and the documentation page of the daemon."""

import re
from pathlib import Path

import pytest

import prism
from prism.daemon.event_schemas import NO_API


@pytest.fixture
def openapi(http):
    answer = http("GET", "/api/v1/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def test_openapi_document_lists_routes_in_order(openapi):
    assert openapi["openapi"].startswith("3.")
    assert "post" in openapi["paths"]["/api/v1/instances/launch"]
    assert [*openapi["paths"]] == sorted(openapi["paths"]), (
        "the order is the same for every daemon"
    )
    beside = re.compile(r"/((web|dcv|ssh|aws)-proxy|auth)/|/(healthz|readyz|metrics)$")
    assert all(path.startswith("/api/v1/") or beside.match(path) for path in openapi["paths"])


def test_openapi_document_has_common_responses_and_headers_for_every_route(http, openapi):
    for path, methods in openapi["paths"].items():
        if path.startswith(("/web-proxy/", "/dcv-proxy/")):
            continue
        for method, operation in methods.items():
            assert {"4XX", "5XX"} <= set(operation["responses"]), path
            assert "400" not in operation["responses"], path
            named = [parameter["name"] for parameter in operation.get("parameters", ())]
            assert named.count("Idempotency-Key") == (method == "post"), path
    assert openapi["components"]["schemas"]["ErrorEnvelope"]["required"] == ["error"]
    assert http("GET", "/api/v1/openapi.json").json() == openapi, (
        "the answer is the same at every request"
    )


def test_openapi_schemas_have_the_constraints_of_the_models(openapi):
    schemas = openapi["components"]["schemas"]
    budget = schemas["BudgetChange"]
    assert budget["additionalProperties"] is False
    assert budget["properties"]["alert_threshold"]["exclusiveMinimum"] == 0
    assert "pattern" in schemas["LaunchRequest"]["properties"]["name"]
    assert schemas["BulkInvitationRequest"]["properties"]["default_role"]["default"] == "member"
    needed = {
        path: methods["put"]["requestBody"]["required"]
        for path, methods in openapi["paths"].items()
        if "put" in methods and not path.endswith("/files/content")  # which is no JSON
    }
    assert needed["/api/v1/projects/{project_id}"] is False, "no field is required"
    assert needed["/api/v1/projects/{project_id}/members/{email}"] is False
    assert needed["/api/v1/instances/{name}"] is True


def test_docs_page_lists_every_route(http, openapi):
    answer = http("GET", "/docs")
    assert answer.headers["content-type"].startswith("text/html")
    for path, methods in openapi["paths"].items():
        for method in methods:
            assert f"<b>{method.upper()}</b> {path}</code>" in answer.text
    assert "Idempotency-Key" in answer.text
    assert "profile_name*" in answer.text, "a required field has a star"


def test_docs_page_loads_no_resources_and_forbids_framing(http):
    answer = http("GET", "/docs")
    assert not re.search(r"https?://|<script|<img|@import|url\(", answer.text)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_description_has_every_event_error_code_and_the_websocket(http):
    openapi = http("GET", "/api/v1/openapi.json").json()
    schemas, sources = openapi["components"]["schemas"], Path(prism.__file__).parent
    written = {
        name
        for file in sources.rglob("events.py")
        for name in re.findall(r'event: ClassVar\[str\] = "(\w+)"', file.read_text())
    }
    choices = [choice["$ref"].rpartition("/")[2] for choice in schemas["LiveEvent"]["anyOf"]]
    described = {schemas[name]["properties"]["event"]["const"]: name for name in choices}
    assert written - described.keys() == set()
    assert all(schemas[name]["properties"]["data"] for name in choices)
    codes = {
        code
        for file in sources.rglob("*.py")
        if file.relative_to(sources).parts[0] not in NO_API
        for code in re.findall(r', code="([A-Z_]+)"\)', file.read_text())
    }
    [known, _] = schemas["ErrorBody"]["properties"]["code"]["anyOf"]
    assert codes - {*known["enum"]} == set()
    socket = openapi["paths"]["/api/v1/ws"]["get"]
    frame = socket["responses"]["101"]["content"]["application/json"]["schema"]
    assert frame == {"$ref": "#/components/schemas/LiveEvent"}
    assert [parameter["name"] for parameter in socket["parameters"]] == ["last_event_id"]
