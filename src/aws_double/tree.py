"""What requests and answers are in Python: structures of EC2's and IAM's own names."""

from typing import Any

Tree = dict[str, Any]
