"""Spot requests: a persistent one outlives its machine, and launches the next one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from aws_double.ec2 import life
from aws_double.ec2.consistency import as_described, before_changing, is_visible, tags_seen
from aws_double.ec2.filters import chosen
from aws_double.ec2.model import BY_API, Instance
from aws_double.ec2.tags import tag_list
from aws_double.refusals import Refusal
from aws_double.tree import Tree
from aws_double.world import Call, World

DOWN = {"stopping", "stopped"}
CODES = {
    "active": "fulfilled",
    "open": "instance-stopped-no-capacity",
    "disabled": "instance-stopped-by-user",
    "marked": "marked-for-stop",
}


@dataclass(slots=True)
class SpotRequest:
    """One request; `machine` is its present one."""

    id: str
    persistent: bool
    most: str
    type: str
    made: datetime
    machine: str
    tags: dict[str, str]
    visible: datetime
    state: str = "active"


def requests(world: World) -> dict[str, SpotRequest]:
    """All of a world."""
    return cast(dict[str, SpotRequest], world.service_state.setdefault("spot", {}))


def ask(
    world: World, instance: Instance, again: Callable[[], Instance], tags: dict[str, str]
) -> None:
    """Add the request of a spot machine."""
    world.owner.service_linked.add("spot")
    options = (instance.market or {}).get("SpotOptions") or {}
    persistent = options.get("SpotInstanceType") == "persistent"
    most = options.get("MaxPrice", "")
    instance.spot_request = world.new_id("sir")
    request = SpotRequest(
        instance.spot_request,
        persistent,
        most,
        instance.type,
        world.now,
        instance.id,
        tags,
        world.after("unseen"),
    )
    requests(world)[request.id] = request
    instance.heir = lambda: _replace_or_close(world, request, again)


def _replace_or_close(world: World, request: SpotRequest, again: Callable[[], Instance]) -> None:
    """Its machine has ended: close a one-time request, replace a persistent one's machine."""
    if request.state != "active" or not request.persistent:
        request.state = "cancelled" if request.state == "cancelled" else "closed"
        return
    replacement = again()
    requests(world).pop(replacement.spot_request or "")  # its own; it belongs to this one
    replacement.spot_request, request.machine = request.id, replacement.id
    replacement.heir = lambda: _replace_or_close(world, request, again)


def is_cancelled(world: World, machine: Instance) -> bool:
    """Whether the machine's request was cancelled."""
    request = requests(world).get(machine.spot_request or "")
    return request is not None and request.state == "cancelled"


def _state(world: World, request: SpotRequest) -> str:
    """Open while EC2 waits for capacity, disabled while the user has stopped its machine."""
    machine = world.instances.get(request.machine)
    if request.state != "active" or machine is None or machine.state not in DOWN:
        return request.state
    if machine.taken:
        return "open"
    # until then its request does not show yet that the user has stopped it
    marked = machine.state == "stopping" or world.now < machine.startable
    return "active" if marked else "disabled"


def describe_spot_instance_requests(call: Call) -> Tree:
    """DescribeSpotInstanceRequests."""
    world, ids = call.world, call.args.get("SpotInstanceRequestIds")
    visible = [request for request in requests(world).values() if is_visible(world, request)]
    listed = [
        as_described(world, request)
        for request in ([_visible_request(world, id) for id in ids] if ids else visible)
    ]
    fields = {
        "spot-instance-request-id": lambda it: it.id,
        "instance-id": lambda it: it.machine,
        "state": lambda it: _state(call.world, it),
    }
    listed = chosen(listed, call.args, fields, lambda it: tags_seen(world, it))
    return {"SpotInstanceRequests": [_request(world, request) for request in listed]}


def cancel_spot_instance_requests(call: Call) -> Tree:
    """CancelSpotInstanceRequests: a running machine stays, a stopped one is terminated."""
    targets = [_visible_request(call.world, id) for id in call.args["SpotInstanceRequestIds"]]
    for request in targets:
        if request.state == "active":
            before_changing(call.world, request)
            request.state = "cancelled"
            machine = call.world.instances.get(request.machine)
            if machine is not None and machine.state in DOWN:
                before_changing(call.world, machine)
                life.enter(call.world, machine, "shutting-down", BY_API)
    listed = [{"SpotInstanceRequestId": request.id, "State": request.state} for request in targets]
    return {"CancelledSpotInstanceRequests": listed}


def _visible_request(world: World, id: str) -> SpotRequest:
    if (request := requests(world).get(id)) is None or not is_visible(world, request):
        raise Refusal(
            "InvalidSpotInstanceRequestID.NotFound",
            f"The spot instance request ID '{id}' does not exist",
        )
    return request


def _request(world: World, request: SpotRequest) -> Tree:
    state, machine = _state(world, request), world.instances.get(request.machine)
    marked = state == "active" and machine is not None and machine.state in DOWN
    code = CODES.get("marked" if marked else state, "instance-terminated-by-user")
    return {
        "SpotInstanceRequestId": request.id,
        "State": state,
        "Type": "persistent" if request.persistent else "one-time",
        "SpotPrice": request.most or None,
        "InstanceId": request.machine,
        "CreateTime": request.made,
        "LaunchSpecification": {"InstanceType": request.type},
        "Status": {"Code": code},
        "Tags": tag_list(tags_seen(world, request)),
    }
