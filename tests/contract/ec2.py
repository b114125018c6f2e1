"""EC2 instances of the double, and the changes that tests make there."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from aws_double.double import AwsDouble
from aws_double.rulebook import build
from prism.providers.aws.api.cloud import Cloud
from prism.templates.model import Template
from tests.providers.aws.place import TEMPLATE, AwsParts

QUICK = {"boot": 0.3}


class Aws:
    """A location on EC2; `naps` is whether a machine can hibernate itself there."""

    hibernates_itself = False  # the double does not run user data: its machines power off

    def __init__(self, double: AwsDouble, home: Path) -> None:
        self.double = double
        self.rule()
        cloud = Cloud("us-east-1", clock=double.clock)
        place = AwsParts(double, cloud, home, executor=ThreadPoolExecutor(2), pace=0.05)
        self.compute, began, launch = place.compute, self.now(), place.compute.launch
        self.compute.launch = lambda spec: launch(  # type: ignore[method-assign]
            replace(spec, launched_at=began)
        )

    def rule(self, **rules: Any) -> None:
        self.double.rules = build({"like": "consistent", "times": QUICK, "patience": 0} | rules)

    def now(self) -> datetime:
        return self.double.clock.now()

    def pass_time(self, delta: timedelta) -> None:
        self.double.clock.advance(delta.total_seconds())

    def break_setup(self) -> Template:
        self.rule(boot={"fails": "packages"})
        return TEMPLATE

    def repair_setup(self, id: str) -> None:
        self.rule()
        self.pass_time(timedelta(seconds=1))  # an EC2 instance never starts twice within a second

    def slow_down(self) -> Template:
        self.rule(times={"boot": 10})
        return TEMPLATE

    def close(self) -> None:
        self.compute.close()
