"""The Python client: the nouns, verbs and errors of the daemon, over HTTP.

from prism.client import Client

with Client() as prism:
    prism.workspaces.launch("Data Science (pip)", "mine", wait=300)
    print(prism.workspaces.connect("mine").services["jupyter"].url)
"""

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from prism.client.asynchronous import AsyncClient
    from prism.client.client import Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> object:
    """Import a client on first use: the command line uses only `prism.client.transport.wire`."""
    if name == "AsyncClient":
        from prism.client.asynchronous import AsyncClient  # noqa: PLC0415  cold start: as below

        return AsyncClient
    if name != "Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from prism.client.client import Client  # noqa: PLC0415  cold start: msgspec costs 20 ms

    return Client
