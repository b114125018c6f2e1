"""The three protocols of AWS's services."""

import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from aws_double.refusals import Refusal
from aws_double.shapes import json_ready, read_query, service, write_xml
from aws_double.tree import Tree


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request."""

    method: str
    path: str
    query: str
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response; `late` is how many real seconds it takes."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    late: float = 0


@dataclass(frozen=True, slots=True)
class Query:
    """Forms as input, XML as output: EC2, STS, IAM."""

    service: str

    def action(self, request: Request) -> str:
        """What is asked."""
        return self._fields(request).get("Action", "")

    def read(self, action: str, request: Request) -> Tree:
        """The arguments."""
        return read_query(self.service, action, self._fields(request))

    def write(self, action: str, answer: Tree, id: str) -> Reply:
        """A good answer."""
        body = write_xml(self.service, action, answer, id)
        return Reply(200, body.encode(), {"content-type": "text/xml;charset=UTF-8"})

    def refuse(self, refusal: Refusal, id: str) -> Reply:
        """A bad one."""
        error = f"<Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>"
        if self.service == "ec2":
            inner = f"<Errors><Error>{error}</Error></Errors><RequestID>{id}</RequestID>"
            body = f"<Response>{inner}</Response>"
        else:
            inner = f"<Error><Type>Sender</Type>{error}</Error><RequestId>{id}</RequestId>"
            body = f"<ErrorResponse>{inner}</ErrorResponse>"
        return Reply(refusal.status, body.encode(), {"content-type": "text/xml;charset=UTF-8"})

    def _fields(self, request: Request) -> dict[str, str]:
        text = request.body.decode() or request.query
        return dict(parse_qsl(text, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Json:
    """JSON both ways, the action in a header: SSM, Pricing."""

    service: str

    def action(self, request: Request) -> str:
        """What is asked."""
        return request.headers.get("x-amz-target", "").rpartition(".")[2]

    def read(self, action: str, request: Request) -> Tree:
        """The arguments."""
        return dict(json.loads(request.body or b"{}"))

    def write(self, action: str, answer: Tree, id: str) -> Reply:
        """A good answer."""
        return _json(200, json_ready(answer), id)

    def refuse(self, refusal: Refusal, id: str) -> Reply:
        """A bad one."""
        body = {"__type": refusal.code, "message": refusal.message, **refusal.extra}
        return _json(refusal.status, body, id)


@dataclass(frozen=True, slots=True)
class Rest:
    """JSON both ways, the action in method and path: EFS."""

    service: str

    def action(self, request: Request) -> str:
        """What is asked."""
        for name, method, pattern in _routes(self.service):
            if method == request.method and pattern.fullmatch(request.path):
                return name
        return ""

    def read(self, action: str, request: Request) -> Tree:
        """The arguments: of the path, the query string and the body."""
        pattern = next(path for name, _, path in _routes(self.service) if name == action)
        matched = pattern.fullmatch(request.path)
        args: Tree = json.loads(request.body) if request.body else {}
        args |= {k: unquote(v) for k, v in (matched.groupdict() if matched else {}).items()}
        shape = service(self.service).operation_model(action).input_shape
        parameters = parse_qsl(request.query)
        for name, member in shape.members.items() if shape is not None else ():
            if member.serialization.get("location") == "querystring":
                values = [v for k, v in parameters if k == member.serialization["name"]]
                if values:
                    args[name] = values if member.type_name == "list" else values[0]
        return args

    def write(self, action: str, answer: Tree, id: str) -> Reply:
        """A good answer."""
        status = service(self.service).operation_model(action).http.get("responseCode", 200)
        return _json(status, json_ready(answer), id)

    def refuse(self, refusal: Refusal, id: str) -> Reply:
        """A bad one."""
        body = {"ErrorCode": refusal.code, "Message": refusal.message, **refusal.extra}
        reply = _json(refusal.status, body, id)
        reply.headers["x-amzn-errortype"] = refusal.code
        return reply


def _json(status: int, body: Any, id: str) -> Reply:
    headers = {"content-type": "application/x-amz-json-1.1", "x-amzn-requestid": id}
    return Reply(status, json.dumps(body).encode(), headers)


@cache
def _routes(name: str) -> list[tuple[str, str, re.Pattern[str]]]:
    model, routes = service(name), []
    for action in model.operation_names:
        http = model.operation_model(action).http
        path = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(http["requestUri"]))
        routes.append((action, http["method"], re.compile(path + "/?")))
    return routes


Protocolled = Query | Json | Rest
"""The protocol of one service."""
SPOKEN: dict[str, Protocolled] = {
    "ec2": Query("ec2"),
    "sts": Query("sts"),
    "iam": Query("iam"),
    "ssm": Json("ssm"),
    "freetier": Json("freetier"),
    "pricing": Json("pricing"),
    "servicequotas": Json("service-quotas"),
    "elasticfilesystem": Rest("efs"),
}
