"""The daemon, from outside: the same nouns and verbs, the same errors, over HTTP.

from prism.client import Client

with Client() as prism:
    prism.workspaces.launch("Data Science (pip)", "mine", wait=300)
    print(prism.workspaces.connect("mine").services["jupyter"].url)
"""

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from prism.client.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> object:
    """`Client`, when it is wanted: the command line uses `prism.client.wire` without it."""
    if name != "Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from prism.client.client import Client  # noqa: PLC0415  cold start: msgspec costs 20 ms

    return Client
