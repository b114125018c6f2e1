"""How the services cut long answers into pages."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

PAGE_SIZES = {"DescribeInstanceTypes": 100}  # the largest page, where it is below the usual one


class Paging(Struct, frozen=True):
    """The parameters of a service for the size of a page and for the next page."""

    size: str
    most: int
    token: str
    next: str

    @staticmethod
    def names(arguments: Mapping[str, Any]) -> bool:
        """Whether the arguments contain ids or types: EC2 refuses a page size then."""
        return any(
            argument.endswith("Ids") or argument == "InstanceTypes" for argument in arguments
        )


PAGING = {
    "ec2": Paging("MaxResults", 1000, "NextToken", "NextToken"),
    "efs": Paging("MaxItems", 100, "Marker", "NextMarker"),
    "iam": Paging("MaxItems", 1000, "Marker", "Marker"),
    "pricing": Paging("MaxResults", 100, "NextToken", "NextToken"),
    "ssm": Paging("MaxResults", 10, "NextToken", "NextToken"),
}
