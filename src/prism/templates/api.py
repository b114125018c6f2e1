"""Templates over HTTP."""

from hashlib import sha256
from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, Parameter

from prism.kit.routes import Routes
from prism.templates.model import TemplateInfo, TemplateItem, TemplateYaml, ValidationReport
from prism.templates.service import TemplateService

Templates = NamedDependency[TemplateService]
TEMPLATES_RESPONSES = {
    200: ResponseSpec(list[TemplateItem], description="Every template", generate_examples=False)
}
router = Routes("/api/v1/templates", tags=["templates"])


@router.get(responses=TEMPLATES_RESPONSES, sync_to_thread=False)
def list_templates(
    request: Request[Any, Any, Any], templates: Templates
) -> Response[bytes | None]:
    """List every template; 304 if the client has the same list."""
    body = msgspec.json.encode(templates.items())
    tag = f'"{sha256(body).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = request.headers.get("if-none-match", "").split(",")
    if tag in [etag.strip().removeprefix("W/") for etag in known]:
        return Response(None, status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


@router.get("/validate", sync_to_thread=True)
def validate_templates(
    templates: Templates,
    packages: Annotated[
        bool, Parameter(description="Also ask the package index whether pip packages exist.")
    ] = False,
) -> ValidationReport:
    """Check all templates."""
    return templates.validate(packages=packages)


@router.get("/{name:str}/info", sync_to_thread=False)
def template_info(name: FromPath[str], templates: Templates) -> TemplateInfo:
    """Everything about one template, by name or slug."""
    return templates.info(name)


@router.get("/{name:str}/yaml", sync_to_thread=False)
def template_yaml(name: FromPath[str], templates: Templates) -> TemplateYaml:
    """A template as its author wrote it, by name or slug, even if it is invalid."""
    return templates.yaml(name)
