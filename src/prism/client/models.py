"""The structs of requests and answers, by package.

A module with structs is imported when an answer is to be one: msgspec costs a cold start 20 ms,
and the command line reads JSON.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from prism.access import model as access
    from prism.audit import model as audit
    from prism.budgets import model as budgets
    from prism.client import daemon_model as daemon
    from prism.copies import model as copies
    from prism.costs import model as costs
    from prism.files import model as files
    from prism.idle import model as idle
    from prism.invitations import model as invitations
    from prism.limits import model as limits
    from prism.logs import model as logs
    from prism.notices import model as notices
    from prism.profiles import model as profiles
    from prism.projects import model as projects
    from prism.recovery import model as recovery
    from prism.requests import model as requests
    from prism.sessions import model as sessions
    from prism.sharing import model as sharing
    from prism.storage import model as storage
    from prism.templates import model as templates
    from prism.visits import model as visits
    from prism.workspaces import model as workspaces
else:

    def __getattr__(name: str) -> LazyModule:
        if name not in __all__:
            raise AttributeError(name)
        own = name == "daemon"
        return LazyModule("prism.client.daemon_model" if own else f"prism.{name}.model")


# fmt: off
__all__ = [
    "access", "audit", "budgets", "copies", "costs", "daemon", "files", "idle", "invitations",
    "limits", "logs", "notices", "profiles", "projects", "recovery", "requests", "sessions",
    "sharing", "storage", "templates", "visits", "workspaces",
]
# fmt: on


class LazyModule:
    """A module of structs that is imported on first use."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> LazyStruct:
        return LazyStruct(self.name, name)


class LazyStruct:
    """A struct or an enumeration by its name."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self, *value: object, **fields: object) -> object:
        """The JSON that a struct with these fields, or the enumeration's value, would be."""
        if value:
            return value[0]
        return {
            name: field for name, field in fields.items() if type(field).__name__ != "UnsetType"
        }
