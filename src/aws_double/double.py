"""The double as an object: started and stopped in the process of a test."""

import threading
from collections.abc import Mapping
from typing import Any, Self

from aws_double.authorization import Caller
from aws_double.clock import Clock
from aws_double.cloud import ACCOUNT, Cloud, Heard
from aws_double.control import Control, happen, machines
from aws_double.dispatcher import Dispatcher
from aws_double.ec2 import life
from aws_double.policies import statements
from aws_double.rules import Fault, Rules
from aws_double.server import Server
from aws_double.sessions import Sessions

REGION = "us-east-1"


class AwsDouble:
    """An AWS on a port of this machine. `with AwsDouble() as aws: ...`, or start and stop."""

    def __init__(self, port: int = 0, seed: int = 0, rules: Rules | None = None) -> None:
        self._cloud = Cloud(seed, rules)
        self._dispatcher = Dispatcher(self._cloud)
        self._port = port
        self._server: Server | None = None

    def start(self) -> Self:
        """Listen; with port 0 on a free one."""
        self._server = Server(self._port, self._dispatcher, Control(self._cloud, self._dispatcher))
        threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="aws-double", daemon=True
        ).start()
        return self

    def stop(self) -> None:
        """Hang up, and free the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.end_connections()
            self._server.server_close()
            server, self._server = self._server, None
            _raise_bugs(server)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -------------------------------------------------------------- for clients
    @property
    def url(self) -> str:
        """Where it listens."""
        if self._server is None:
            raise RuntimeError("the double was not started")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environ(self, region: str = REGION, account: str = ACCOUNT) -> dict[str, str]:
        """What a program needs in its environment to take the double for AWS."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    # -------------------------------------------------------------- what happens
    @property
    def clock(self) -> Clock:
        """Its time."""
        return self._cloud.clock

    @property
    def rules(self) -> Rules:
        """The rules in force; set others at any time."""
        return self._cloud.orders.rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        """Faults count from zero again, and buckets are full."""
        self._cloud.set_rules(rules)

    def fault(self, **fields: Any) -> None:
        """One more fault, such as `action="RunInstances", do="lost"`."""
        self._cloud.add_fault(Fault(**fields))

    @property
    def sessions(self) -> Sessions:
        """Logins and temporary keys."""
        return self._cloud.orders.sessions

    def power_off(self, id: str) -> None:
        """Shut a machine down from inside, as `poweroff` does."""
        happen(self._cloud, id, life.power_off)

    def interrupt(self, id: str) -> None:
        """EC2 takes a spot machine back."""
        happen(self._cloud, id, life.interrupt)

    def reset(self) -> None:
        """An empty AWS with the first rules and the real time."""
        self._dispatcher.reset()
        if self._server is not None:
            _raise_bugs(self._server)

    def bind(
        self,
        policy: dict[str, Any],
        agent: str = "",
        principal: Mapping[str, str] | None = None,
    ) -> Caller:
        """Limit callers by an IAM policy until the next reset; record which permissions they use.

        `agent` is a word of their User-Agent; callers without it are not limited. `principal` are
        condition keys of the caller, such as its tags; the name of an IAM user is known.
        """
        caller = Caller(statements(policy), agent, principal or {})
        self._dispatcher.callers.append(caller)
        return caller

    # -------------------------------------------------------------- what happened
    @property
    def calls(self) -> list[Heard]:
        """Every call since the reset."""
        with self._cloud.lock:
            return list(self._cloud.log)

    def machines(self, region: str = REGION, account: str = ACCOUNT) -> list[dict[str, Any]]:
        """The truth about every machine, whatever EC2 lets others see of it."""
        with self._cloud.lock:
            return machines(self._cloud.world(account, region))


def _raise_bugs(server: Server) -> None:
    """Raise if calls have failed inside the double since the last time."""
    bugs, server.bugs = server.bugs, []
    if bugs:
        raise RuntimeError(f"the double broke on {len(bugs)} calls; the first follows") from bugs[
            0
        ]
