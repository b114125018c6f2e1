"""Profiles over HTTP."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from prism.kit.routes import Routes
from prism.profiles.model import (
    DeletedProfile,
    NewProfile,
    ProfileChange,
    ProfileShown,
    SwitchRequest,
)
from prism.profiles.service import ProfileService

Profiles = NamedDependency[ProfileService]
Name = FromPath[str]
router = Routes("/api/v1/profiles", tags=["profiles"])


@router.get(sync_to_thread=True)
def list_profiles(profiles: Profiles) -> list[ProfileShown]:
    """Every profile."""
    return profiles.every()


@router.get("/current", sync_to_thread=True)
def show_current_profile(profiles: Profiles) -> ProfileShown:
    """The profile that launches use."""
    return profiles.shown_current()


@router.post("/switch", status_code=200, sync_to_thread=True)
def switch_profile(data: JSONBody[SwitchRequest], profiles: Profiles) -> ProfileShown:
    """Use another profile from now on."""
    return profiles.switch(data.profile_name)


@router.post(sync_to_thread=True)
def create_profile(data: JSONBody[NewProfile], profiles: Profiles) -> ProfileShown:
    """Make a new profile."""
    return profiles.create(data)


@router.put("/{name:str}", sync_to_thread=True)
def change_profile(name: Name, data: JSONBody[ProfileChange], profiles: Profiles) -> ProfileShown:
    """Change the given fields of a profile."""
    return profiles.change(name, data)


@router.delete("/{name:str}", status_code=200, sync_to_thread=True)
def delete_profile(name: Name, profiles: Profiles) -> DeletedProfile:
    """Delete a profile that is not used."""
    profiles.delete(name)
    return DeletedProfile(f"Profile {name!r} deleted successfully")
