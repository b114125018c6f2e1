"""Every EC2 action that the double answers."""

import pkgutil
from importlib import import_module

from aws_double import ec2
from aws_double.world import actions_of

ACTIONS = actions_of(
    *(
        import_module(f"{ec2.__name__}.{module.name}")
        for module in pkgutil.iter_modules(ec2.__path__)
    )
)
