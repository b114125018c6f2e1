"""Idleness over HTTP, as in the API reference."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from prism.idle.model import (
    Activity,
    ConfigureIdleRequest,
    DeletedIdleProfile,
    EffectiveIdleRules,
    IdleAction,
    IdleProfile,
    IdleStatus,
    KeepAwakeAnswer,
    KeepAwakeRequest,
    NewIdleProfile,
)
from prism.idle.service import IdleService
from prism.kit.routes import Routes

Idleness = NamedDependency[IdleService]
Name = FromPath[str]
Limit = Annotated[int, QueryParameter(ge=1, le=1000)]
router = Routes("/api/v1/idle", tags=["idle"])


@router.get("/profiles", sync_to_thread=True)
def list_idle_profiles(idleness: Idleness) -> list[IdleProfile]:
    """List every idle profile, the built-in ones first."""
    return idleness.profiles()


@router.post("/profiles", sync_to_thread=True)
def create_idle_profile(data: JSONBody[NewIdleProfile], idleness: Idleness) -> IdleProfile:
    """Make an idle profile."""
    return idleness.create(data)


@router.delete("/profiles/{name:str}", status_code=200, sync_to_thread=True)
def delete_idle_profile(name: Name, idleness: Idleness) -> DeletedIdleProfile:
    """Delete an idle profile that no workspace uses."""
    return idleness.delete(name)


@router.post("/instances/{name:str}/configure", status_code=200, sync_to_thread=True)
def configure_idleness(
    name: Name, data: JSONBody[ConfigureIdleRequest], idleness: Idleness
) -> EffectiveIdleRules:
    """Choose a workspace's idle profile; the answer contains the rules that count now."""
    return idleness.configure(name, data)


@router.post("/instances/{name:str}/keep-awake", status_code=200, sync_to_thread=True)
def keep_awake(
    name: Name, data: JSONBody[KeepAwakeRequest], idleness: Idleness
) -> KeepAwakeAnswer:
    """Keep a workspace awake for a number of minutes, even if it is idle; 0 ends that."""
    return idleness.keep_awake(name, data.minutes)


@router.get("/instances/{name:str}", sync_to_thread=True)
def show_idleness(name: Name, idleness: Idleness) -> IdleStatus:
    """Why a workspace is awake or asleep, and the measurements."""
    return idleness.status(name)


@router.get("/instances/{name:str}/activity", sync_to_thread=True)
def show_activity(name: Name, idleness: Idleness) -> Activity:
    """What a workspace did in the last 24 hours, in steps of ten minutes, and why."""
    return idleness.activity(name)


@router.get("/history", sync_to_thread=True)
def idle_history(idleness: Idleness, limit: Limit = 100) -> list[IdleAction]:
    """The actions on idle workspaces, the newest first."""
    return idleness.history(limit)
