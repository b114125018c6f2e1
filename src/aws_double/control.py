"""The double's own API, beside AWS's: its rules, its time, and what is really there."""

import json
from collections.abc import Callable

import msgspec

from aws_double.authorization import Caller
from aws_double.cloud import Cloud
from aws_double.dispatcher import Dispatcher
from aws_double.ec2 import life
from aws_double.ec2.model import Instance
from aws_double.policies import statements
from aws_double.protocols import Reply, Request
from aws_double.rulebook import BadRules, parse
from aws_double.rules import Fault
from aws_double.tree import Tree
from aws_double.world import World

PREFIX = "/_double/"


class Control:
    """Answers what begins with `/_double/`; `docs/aws-double.md` lists it."""

    def __init__(self, cloud: Cloud, dispatcher: Dispatcher) -> None:
        self._cloud, self._dispatcher = cloud, dispatcher

    def answer(self, request: Request) -> Reply:
        """Answer a request of the test that owns the double."""
        name = request.path.removeprefix(PREFIX)
        routes: dict[tuple[str, str], Callable[[str], Tree | None]] = {
            ("POST", "reset"): lambda _: self._dispatcher.reset(),
            ("PUT", "rules"): lambda text: self._cloud.set_rules(parse(text)),
            ("POST", "faults"): lambda text: self._cloud.add_fault(
                msgspec.json.decode(text, type=Fault)
            ),
            ("POST", "clock"): self._clock,
            ("GET", "calls"): self._calls,
            ("GET", "machines"): self._machines,
            ("POST", "power-off"): lambda text: self._trigger(text, life.power_off),
            ("POST", "interrupt"): lambda text: self._trigger(text, life.interrupt),
            ("PUT", "policy"): self._policy,
            ("GET", "permissions"): self._permissions,
        }
        if (handler := routes.get((request.method, name))) is None:
            return _reply(
                404, {"error": f"known are {', '.join(' '.join(known) for known in routes)}"}
            )
        try:
            return _reply(200, handler(request.body.decode()) or {})
        except (BadRules, msgspec.DecodeError, ValueError, KeyError) as error:
            return _reply(422, {"error": str(error)})

    def _clock(self, text: str) -> Tree:
        body = json.loads(text or "{}")
        if body.get("stop"):
            self._cloud.clock.stop()
        self._cloud.clock.advance(body.get("advance", 0))
        return {"now": self._cloud.clock.now().isoformat()}

    def _calls(self, _: str) -> Tree:
        with self._cloud.lock:
            return {"calls": msgspec.to_builtins(self._cloud.log)}

    def _machines(self, _: str) -> Tree:
        with self._cloud.lock:
            return {
                "machines": [
                    machine for world in self._cloud.worlds() for machine in machines(world)
                ]
            }

    def _trigger(self, text: str, event: Callable[[World, Instance], None]) -> None:
        happen(self._cloud, json.loads(text)["id"], event)

    def _policy(self, text: str) -> Tree:
        self._dispatcher.callers[:] = [Caller(statements(json.loads(text)))]
        return {}

    def _permissions(self, _: str) -> Tree:
        with self._cloud.lock:
            used = sorted(
                {action for caller in self._dispatcher.callers for action in caller.used}
            )
            denied = [action for caller in self._dispatcher.callers for action in caller.denied]
            return {"used": used, "denied": denied}


def happen(cloud: Cloud, id: str, event: Callable[[World, Instance], None]) -> None:
    """Let an event happen to a running machine, without a call to EC2."""
    with cloud.lock:
        for world in cloud.worlds():
            instance = world.instances.get(id)
            if instance is not None and instance.state == "running":
                event(world, instance)
                return
    raise ValueError(f"no machine {id!r} runs")


def machines(world: World) -> list[Tree]:
    """The truth about every machine of a world, whatever EC2 lets others see of it."""
    return [
        {
            "id": instance.id,
            "account": world.account,
            "region": world.region,
            "zone": instance.zone,
            "state": instance.state,
            "type": instance.type,
            "token": instance.token,
            "tags": instance.tags,
            "asleep": instance.asleep,
            "born": instance.born.isoformat(),
        }
        for instance in world.instances.values()
    ]


def _reply(status: int, body: Tree) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"content-type": "application/json"})
