"""SSM's public parameters for images. The rest is moto's."""

import sys

from aws_double.facts.images import NEW, parameters
from aws_double.refusals import Refusal
from aws_double.tree import Tree
from aws_double.world import Call, actions_of


def get_parameter(call: Call) -> Tree:
    """GetParameter."""
    name, region = call.args["Name"], call.world.region
    if (value := parameters(region).get(name)) is None:
        raise Refusal("ParameterNotFound", "")
    return {
        "Parameter": {
            "Name": name,
            "Type": "String",
            "Value": value,
            "Version": 42,
            "LastModifiedDate": NEW,
            "ARN": f"arn:aws:ssm:{region}::parameter{name}",
            "DataType": "aws:ec2:image",
        }
    }


ACTIONS = actions_of(sys.modules[__name__])
