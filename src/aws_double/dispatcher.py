"""Handles a request: find the caller, apply a fault, check permissions, act, answer."""

import re
import uuid
from dataclasses import replace
from typing import Any

from aws_double import account_facts, efs, iam, pricing, ssm, sts
from aws_double.authorization import Caller, needs
from aws_double.cloud import ACCOUNT, Cloud, Heard
from aws_double.ec2.actions import ACTIONS as EC2
from aws_double.faults import IncomingCall, named
from aws_double.protocols import SPOKEN, Protocolled, Reply, Request
from aws_double.refusals import Refusal
from aws_double.rest import Rest
from aws_double.rules import Fault
from aws_double.shapes import operations
from aws_double.throttle import too_often
from aws_double.world import Action, Call, actions_of

ANSWERED: dict[str, dict[str, Action]] = {
    "ec2": EC2,
    "elasticfilesystem": actions_of(efs),
    "freetier": actions_of(account_facts),
    "iam": actions_of(iam),
    "pricing": actions_of(pricing),
    "servicequotas": actions_of(account_facts),
    "ssm": actions_of(ssm),
    "sts": actions_of(sts),
}
OURS_ALONE = {"ec2": "ec2", "elasticfilesystem": "efs", "iam": "iam"}
CREDENTIAL = re.compile(r"Credential=([^/,]+)/\d+/([^/]+)/([^/]+)/aws4_request")
BY_ORGANIZATION = (
    " with an explicit deny in a service control policy: "
    "arn:aws:organizations::111111111111:policy/o-example/service_control_policy/p-example"
)
NAMES_MACHINES = {"StartInstances", "StopInstances", "TerminateInstances"}


class Dispatcher:
    """Answers requests; `None` drops the connection."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._rest = Rest()
        self.callers: list[Caller] = []  # those whose rights a policy limits
        self._replies: dict[tuple[str, str, str], Reply] = {}  # for stale answers

    def reset(self) -> None:
        """Forget everything, moto's part as well."""
        with self._cloud.lock:
            self._cloud.reset()
            self._rest.reset()
            self._replies.clear()
            self.callers.clear()

    def log_in(self, request: Request) -> Reply:
        """An answer of AWS Sign-In or of Identity Center, whose requests have no signature."""
        with self._cloud.lock:
            now, number = self._cloud.clock.now(), self._cloud.count(ACCOUNT)
            action = f"{request.method} {request.path}"
            call = IncomingCall(number, ACCOUNT, "us-east-1", "signin", action, request.query)
            fault = self._cloud.faults.hit(call)
            reply = self._cloud.orders.sessions.answer(request)
            if fault is not None:
                reply = SPOKEN["elasticfilesystem"].refuse(_error(fault), str(uuid.uuid4()))
            outcome = "ok" if reply.status < 300 else reply.headers.get("x-amzn-errortype", "")
            heard = Heard(number, now, ACCOUNT, "us-east-1", "signin", action, outcome)
            self._cloud.note(heard)
        return reply

    def answer(self, request: Request) -> Reply | None:
        """The service's answer, after the faults and limits of the rules."""
        key_id, region, service = _credential(request)
        account = self._account_of(key_id)
        id, speaker = str(uuid.uuid4()), SPOKEN.get(service, SPOKEN["ssm"])
        action = speaker.action(request) if service in SPOKEN else _guess_action(request)
        with self._cloud.lock:
            now, number = self._cloud.clock.now(), self._cloud.count(account)
            values = request.path + request.query + request.body.decode("latin-1")
            call = IncomingCall(number, account, region, service, action, values)
            fault = self._cloud.faults.hit(call)
            owner = self._cloud.world(account, region).owner
            owner.caller = self._caller_arn(key_id, account)
            reply, outcome = self._answer_with_fault(call, request, speaker, fault, id)
            self._cloud.note(Heard(number, now, account, region, service, action, outcome))
        return reply

    def _account_of(self, key_id: str) -> str:
        """The account of an access key; one of 12 digits is an account of its own."""
        if (session := self._cloud.orders.sessions.of(key_id)) is not None:
            return session.account
        return key_id if key_id.isdigit() and len(key_id) == 12 else ACCOUNT

    def _caller_arn(self, key_id: str, account: str) -> str:
        session = self._cloud.orders.sessions.of(key_id)
        return session.arn if session else f"arn:aws:iam::{account}:user/{sts.USER}"

    def _answer_with_fault(
        self,
        call: IncomingCall,
        request: Request,
        speaker: Protocolled,
        fault: Fault | None,
        id: str,
    ) -> tuple[Reply | None, str]:
        """The answer, changed by the request's fault if there is one, and the log's outcome."""
        key = (call.account + call.region + call.action, request.query, request.body.hex())
        do = fault.do if fault else ""
        if do == "drop":
            return None, "dropped"
        if fault and do in {"error", "throttle"}:
            refusal = too_often(call.service) if do == "throttle" else _error(fault)
            return speaker.refuse(refusal, id), refusal.code
        if do == "stale" and key in self._replies:
            return self._replies[key], do
        reply, outcome = self._perform(call, request, speaker, id)
        if self._cloud.faults.remember:
            self._replies[key] = reply
        if do == "lost":
            return None, f"lost {outcome}"
        if do == "twice":
            reply, outcome = self._perform(call, request, speaker, id)
        if fault and do == "late":
            reply = replace(reply, late=fault.seconds)
        return reply, f"{do} {outcome}".strip()

    def _perform(
        self, call: IncomingCall, request: Request, speaker: Protocolled, id: str
    ) -> tuple[Reply, str]:
        """The answer of the action, and the outcome for the log."""
        try:
            if call.region in self._cloud.orders.rules.regions_off:
                raise _region_disabled(call.service)
            self._cloud.orders.sessions.check(_credential(request)[0], call.service)
            name = f"{call.service}:{call.action}"
            self._check_rules(call, name)
            known = ANSWERED.get(call.service, {}).get(call.action)
            if known is None:
                return self._pass_on(call, request)
            args = speaker.read(call.action, request)
            self._throttle(call, args)
            command = Call(self._cloud.world(call.account, call.region), call.action, args)
            self._authorize(call, command, request)
            if args.get("DryRun"):
                raise Refusal(
                    "DryRunOperation",
                    "Request would have succeeded, but DryRun flag is set.",
                    412,
                )
            return speaker.write(call.action, known(command), id), "ok"
        except Refusal as refusal:
            return speaker.refuse(refusal, id), refusal.code

    def _caller(self, call: IncomingCall) -> str:
        return self._cloud.world(call.account, call.region).owner.caller

    def _check_rules(self, call: IncomingCall, action: str, resource: str = "") -> None:
        """Refuse what the rules deny: the organization, or the caller's policies."""
        (service, _, name), rules = action.partition(":"), self._cloud.orders.rules
        if any(named(rule, service, name) for rule in rules.organization):
            raise _unauthorized(self._caller(call), call, action, resource, BY_ORGANIZATION)
        if any(named(rule, service, name) for rule in rules.denied):
            raise _unauthorized(self._caller(call), call, action, resource)

    def _authorize(self, call: IncomingCall, command: Call, request: Request) -> None:
        """Every permission that the call needs, by the rules and by the caller's policy."""
        agent = request.headers.get("user-agent", "")
        caller = next((candidate for candidate in self.callers if candidate.bound(agent)), None)
        command.world.owner.policy = caller.policy if caller else ()
        for need in needs(call.service, command):
            self._check_rules(call, need.action, need.resource)
            if caller and not caller.may(need, self._caller(call)):
                raise _unauthorized(self._caller(call), call, need.action, need.resource)

    def _throttle(self, call: IncomingCall, args: dict[str, Any]) -> None:
        if call.service == "ec2":
            machines = args.get("MaxCount", 1)
            if call.action in NAMES_MACHINES:
                machines = len(args.get("InstanceIds", []))
            scope, now = (call.account, call.region), self._cloud.clock.now()
            self._cloud.throttle.take(scope, call.action, machines, now)

    def _pass_on(self, call: IncomingCall, request: Request) -> tuple[Reply, str]:
        """Let moto answer, except for services whose state is here."""
        if (name := OURS_ALONE.get(call.service)) is not None:
            kind = "is not one that the double answers"
            if call.action not in operations(name):
                kind = "is not valid for this web service"
            raise Refusal("InvalidAction", f"The action {call.action} {kind}.")
        reply = self._rest.answer(request)
        return reply, "ok" if reply.status < 300 else f"moto {reply.status}"


def _unauthorized(
    arn: str, call: IncomingCall, action: str, resource: str = "", why: str = ""
) -> Refusal:
    """AWS's refusal for a missing permission; services word it differently.

    IAM User Guide, "Troubleshoot access denied error messages"; EC2 adds a message that only
    `DecodeAuthorizationMessage` can read.
    """
    message = f"User: {arn} is not authorized to perform: {action}"
    message += f" on resource: {resource}" if resource not in {"", "*"} else ""
    message += why or f" because no identity-based policy allows the {action} action"
    if call.service == "ec2":
        you = "You are not authorized to perform this operation."
        encoded = f"Encoded authorization failure message: {'Ab3-' * 50}"
        return Refusal("UnauthorizedOperation", f"{you} {message}. {encoded}", 403)
    code = "AccessDenied" if call.service in {"sts", "iam"} else "AccessDeniedException"
    return Refusal(code, message, 403 if code == "AccessDenied" else 400)


def _region_disabled(service: str) -> Refusal:
    """AWS's refusal in a region that the account has not enabled, as for bad credentials."""
    if service == "ec2":
        message = "AWS was not able to validate the provided access credentials"
        return Refusal("AuthFailure", message, 401)
    message = "The security token included in the request is invalid."
    code = "InvalidClientTokenId" if service in {"sts", "iam"} else "UnrecognizedClientException"
    return Refusal(code, message, 403)


def _error(fault: Fault) -> Refusal:
    return Refusal(fault.code, fault.message, fault.status)


def _credential(request: Request) -> tuple[str, str, str]:
    """Access key, region and service."""
    match = CREDENTIAL.search(request.headers.get("authorization", ""))
    if match is None:
        return "", "us-east-1", "unsigned"
    key, region, service = match.groups()
    return key, region, service


def _guess_action(request: Request) -> str:
    """The probable action of a request to a service that the double does not know."""
    if target := request.headers.get("x-amz-target"):
        return target.rpartition(".")[2]
    match = re.search(rb"Action=(\w+)", request.body)
    return match[1].decode() if match else f"{request.method} {request.path}"
