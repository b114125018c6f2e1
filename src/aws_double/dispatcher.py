"""The way of a request: who asks, what goes wrong, is it allowed, do it, answer."""

import re
import uuid
from dataclasses import replace
from typing import Any

from aws_double import efs, iam, pricing, ssm, sts
from aws_double.authorization import Caller, needs
from aws_double.cloud import ACCOUNT, Cloud, Heard
from aws_double.ec2.actions import ACTIONS as EC2
from aws_double.faults import Asked, named
from aws_double.protocols import SPOKEN, Protocolled, Reply, Request
from aws_double.refusals import Refusal
from aws_double.rest import Rest
from aws_double.rules import Fault
from aws_double.shapes import operations
from aws_double.throttle import too_often
from aws_double.world import Action, Call

ANSWERED: dict[str, dict[str, Action]] = {
    "ec2": EC2,
    "elasticfilesystem": efs.ACTIONS,
    "iam": iam.ACTIONS,
    "pricing": pricing.ACTIONS,
    "ssm": ssm.ACTIONS,
    "sts": sts.ACTIONS,
}
OURS_ALONE = {"ec2": "ec2", "elasticfilesystem": "efs", "iam": "iam"}
CREDENTIAL = re.compile(r"Credential=([^/,]+)/\d+/([^/]+)/([^/]+)/aws4_request")
NAMES_MACHINES = {"StartInstances", "StopInstances", "TerminateInstances"}


class Dispatcher:
    """Answers requests; `None` is a connection that drops."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._rest = Rest()
        self.callers: list[Caller] = []  # those whose rights a policy limits
        self._said: dict[tuple[str, str, str], Reply] = {}  # for stale answers

    def reset(self) -> None:
        """Forget everything, moto's part as well."""
        with self._cloud.lock:
            self._cloud.reset()
            self._rest.reset()
            self._said.clear()
            self.callers.clear()

    def answer(self, request: Request) -> Reply | None:
        """What the service says, after everything that the rules have in store."""
        account, region, service = _who(request)
        id, speaker = str(uuid.uuid4()), SPOKEN.get(service)
        action = speaker.action(request) if speaker else _target(request)
        with self._cloud.lock:
            now, number = self._cloud.clock.now(), self._cloud.count(account)
            values = request.path + request.query + request.body.decode("latin-1")
            asked = Asked(number, account, region, service, action, values)
            fault = self._cloud.faults.hit(asked)
            reply, outcome = self._met(asked, request, speaker, fault, id)
            self._cloud.note(Heard(number, now, account, region, service, action, outcome))
        return reply

    def _met(
        self,
        asked: Asked,
        request: Request,
        speaker: Protocolled | None,
        fault: Fault | None,
        id: str,
    ) -> tuple[Reply | None, str]:
        """The request meets its fault, if it has one."""
        key = (asked.account + asked.region + asked.action, request.query, request.body.hex())
        do = fault.do if fault else ""
        if do == "drop":
            return None, "dropped"
        if fault and do in {"error", "throttle"}:
            refusal = too_often(asked.service) if do == "throttle" else _error(fault)
            return (speaker or SPOKEN["ssm"]).refuse(refusal, id), refusal.code
        if do == "stale" and key in self._said:
            return self._said[key], do
        reply, outcome = self._acted(asked, request, speaker, id)
        if self._cloud.faults.remember:
            self._said[key] = reply
        if do == "lost":
            return None, f"lost {outcome}"
        if do == "twice":
            reply, outcome = self._acted(asked, request, speaker, id)
        if fault and do == "late":
            reply = replace(reply, late=fault.seconds)
        return reply, f"{do} {outcome}".strip()

    def _acted(
        self, asked: Asked, request: Request, speaker: Protocolled | None, id: str
    ) -> tuple[Reply, str]:
        """The action, and the word for the log."""
        speaks: Protocolled = speaker or SPOKEN["ssm"]
        try:
            if asked.region in self._cloud.orders.rules.regions_off:
                raise _stranger(asked.service)
            self._allowed(asked)
            known = ANSWERED.get(asked.service, {}).get(asked.action)
            if known is None or speaker is None:
                return self._passed_on(asked, request)
            args = speaker.read(asked.action, request)
            self._paid(asked, args)
            call = Call(self._cloud.world(asked.account, asked.region), asked.action, args)
            self._authorized(asked, call, request)
            if args.get("DryRun"):
                raise Refusal(
                    "DryRunOperation",
                    "Request would have succeeded, but DryRun flag is set.",
                    412,
                )
            return speaks.write(asked.action, known(call), id), "ok"
        except Refusal as refusal:
            return speaks.refuse(refusal, id), refusal.code

    def _allowed(self, asked: Asked) -> None:
        if self._denied(f"{asked.service}:{asked.action}"):
            raise _unauthorized(asked, f"{asked.service}:{asked.action}")

    def _denied(self, action: str) -> bool:
        """Whether the rules, not a policy, deny it."""
        service, _, name = action.partition(":")
        return any(named(rule, service, name) for rule in self._cloud.orders.rules.denied)

    def _authorized(self, asked: Asked, call: Call, request: Request) -> None:
        """Every permission that the call needs, by the rules and by the caller's policy."""
        agent = request.headers.get("user-agent", "")
        caller = next((candidate for candidate in self.callers if candidate.bound(agent)), None)
        call.world.owner.policy = caller.policy if caller else ()
        for need in needs(asked.service, call):
            if self._denied(need.action) or (caller and not caller.may(need)):
                raise _unauthorized(asked, need.action, need.resource)

    def _paid(self, asked: Asked, args: dict[str, Any]) -> None:
        if asked.service == "ec2":
            machines = args.get("MaxCount", 1)
            if asked.action in NAMES_MACHINES:
                machines = len(args.get("InstanceIds", []))
            where, now = (asked.account, asked.region), self._cloud.clock.now()
            self._cloud.throttle.take(where, asked.action, machines, now)

    def _passed_on(self, asked: Asked, request: Request) -> tuple[Reply, str]:
        """What we do not answer is moto's, except where moto would know another world."""
        if (name := OURS_ALONE.get(asked.service)) is not None:
            kind = "is not one that the double answers"
            if asked.action not in operations(name):
                kind = "is not valid for this web service"
            raise Refusal("InvalidAction", f"The action {asked.action} {kind}.")
        reply = self._rest.answer(request)
        return reply, "ok" if reply.status < 300 else f"moto {reply.status}"


def _unauthorized(asked: Asked, action: str, resource: str = "") -> Refusal:
    """What AWS says to who lacks a permission; each service in its own words."""
    arn = f"arn:aws:iam::{asked.account}:user/{sts.USER}"
    said = f"User: {arn} is not authorized to perform: {action}"
    said += f" on resource: {resource}" if resource not in {"", "*"} else ""
    said += f" because no identity-based policy allows the {action} action"
    if asked.service == "ec2":
        you = "You are not authorized to perform this operation."
        return Refusal("UnauthorizedOperation", f"{you} {said}", 403)
    code = "AccessDenied" if asked.service in {"sts", "iam"} else "AccessDeniedException"
    return Refusal(code, said, 403 if code == "AccessDenied" else 400)


def _stranger(service: str) -> Refusal:
    """What AWS says in a region that the account has not enabled, as to bad credentials."""
    if service == "ec2":
        said = "AWS was not able to validate the provided access credentials"
        return Refusal("AuthFailure", said, 401)
    said = "The security token included in the request is invalid."
    code = "InvalidClientTokenId" if service in {"sts", "iam"} else "UnrecognizedClientException"
    return Refusal(code, said, 403)


def _error(fault: Fault) -> Refusal:
    return Refusal(fault.code, fault.message, fault.status)


def _who(request: Request) -> tuple[str, str, str]:
    """Account, region and service; an access key of 12 digits is an account of its own."""
    found = CREDENTIAL.search(request.headers.get("authorization", ""))
    if found is None:
        return ACCOUNT, "us-east-1", "unsigned"
    key, region, service = found.groups()
    return (key if key.isdigit() and len(key) == 12 else ACCOUNT), region, service


def _target(request: Request) -> str:
    """What is probably asked of a service that we do not know."""
    if target := request.headers.get("x-amz-target"):
        return target.rpartition(".")[2]
    found = re.search(rb"Action=(\w+)", request.body)
    return found[1].decode() if found else f"{request.method} {request.path}"
