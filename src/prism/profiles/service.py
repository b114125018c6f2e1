"""The verbs of profiles."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from msgspec import UNSET, structs
from sqlalchemy import Connection

from prism.kit.actor import Who
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.tables import changed_fields
from prism.profiles import store
from prism.profiles.events import ProfileChanged, ProfileCreated, ProfileDeleted, ProfileSwitched
from prism.profiles.model import (
    NewProfile,
    Profile,
    ProfileChange,
    ProfileExists,
    ProfileFixed,
    ProfileInUse,
    ProfileNotFound,
    ProfileShown,
)
from prism.profiles.plan import FIRST_PROFILE, checked, first_profiles


class ProfileService:
    """Requests about profiles; `fixed` is a profile that cannot be switched.

    `count_living` counts the living workspaces that were launched with a profile.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        actor: Who,
        count_living: Callable[[Connection, str], int],
        fixed: str = "",
    ) -> None:
        self._db, self._clock, self._actor = db, clock, actor
        self._count_living, self._fixed = count_living, fixed

    def first_start(self, sections: Mapping[str, str | None]) -> None:
        """If there are no profiles, create `local` and one for each section of AWS's files."""
        with self._db.write() as tx:
            if not store.every(tx.sql):
                for profile in first_profiles(sections, self._now()):
                    self._add(tx, profile)
            if store.active_of(tx.sql, self._actor()) is None:
                store.activate(tx, self._actor(), _default(store.every(tx.sql)))

    def every(self) -> list[ProfileShown]:
        """All profiles, by name."""
        with self._db.read() as sql:
            active = self._active(sql)
            return [_shown(profile, active) for profile in store.every(sql)]

    def in_use(self, sql: Connection) -> tuple[Profile, ...]:
        """The profiles that users have switched to."""
        names = {self._fixed} if self._fixed else {*store.in_use(sql)}
        return tuple(profile for profile in store.every(sql) if profile.name in names)

    def stored(self, sql: Connection) -> tuple[Profile, ...]:
        """All profiles, whether somebody uses them or not."""
        return tuple(store.every(sql))

    def current(self) -> Profile:
        """The profile that launches use."""
        with self._db.read() as sql:
            return self.current_in(sql)

    def current_in(self, sql: Connection) -> Profile:
        """The profile that launches use, in this transaction."""
        return self._named(sql, self._active(sql))

    def shown_current(self) -> ProfileShown:
        """The profile that launches use, for the wire."""
        profile = self.current()
        return _shown(profile, profile.name)

    def switch(self, name: str) -> ProfileShown:
        """Use another profile from now on."""
        with self._db.write() as tx:
            profile = self._named(tx.sql, name)
            self._check_fixed(name)
            previous = self._active(tx.sql)
            store.activate(tx, self._actor(), name)
            self.used(tx, name)
            if previous != name:
                tx.happened(ProfileSwitched(actor=self._actor(), subject=name, previous=previous))
            return _shown(structs.replace(profile, last_used=self._now()), name)

    def chosen(self, name: str | None) -> Profile:
        """The profile for a launch that names one, or names none."""
        with self._db.read() as sql:
            if name is None:
                return self.current_in(sql)
            profile = self._named(sql, name)
        self._check_fixed(name)
        return profile

    def named(self, name: str) -> Profile:
        """The profile of that name, active or not."""
        with self._db.read() as sql:
            return self._named(sql, name)

    def used(self, tx: Tx, name: str) -> None:
        """Record that a launch used it."""
        store.used(tx, name, self._now())

    def create(self, request: NewProfile) -> ProfileShown:
        """Create a profile."""
        profile = checked(Profile(**structs.asdict(request), created_at=self._now()))
        with self._db.write() as tx:
            if store.named(tx.sql, profile.name):
                raise ProfileExists(
                    f"A profile called {profile.name!r} already exists",
                    remediation=f"Change it with `prism profile update {profile.name}`",
                )
            self._add(tx, profile)
            return _shown(profile, self._active(tx.sql))

    def change(self, name: str, request: ProfileChange) -> ProfileShown:
        """Change the given fields."""
        asdict = structs.asdict(request)
        fields = {name: value for name, value in asdict.items() if value is not UNSET}
        with self._db.write() as tx:
            before = self._named(tx.sql, name)
            after = checked(structs.replace(before, **fields))
            if now := changed_fields(before, after):
                store.put(tx, after)
                was = {field: getattr(before, field) for field in now}
                event = ProfileChanged(
                    actor=self._actor(), subject=name, fields=tuple(now), before=was, after=now
                )
                tx.happened(event)
            return _shown(after, self._active(tx.sql))

    def delete(self, name: str) -> None:
        """Delete a profile that nothing needs."""
        with self._db.write() as tx:
            self._named(tx.sql, name)
            self._require_unused(tx, name)
            store.remove(tx, name)
            tx.happened(ProfileDeleted(actor=self._actor(), subject=name))

    def _require_unused(self, tx: Tx, name: str) -> None:
        if name == self._active(tx.sql) or name in store.in_use(tx.sql):
            names = [p.name for p in store.every(tx.sql) if p.name != name]
            other = FIRST_PROFILE if FIRST_PROFILE in names else next(iter(names), "NAME")
            raise ProfileInUse(
                f"Profile {name!r} is active",
                details="An active profile cannot be deleted",
                remediation=f"Switch to another one first: `prism profile switch {other}`",
            )
        if count := self._count_living(tx.sql, name):
            raise ProfileInUse(
                f"Profile {name!r} is in use",
                details=f"{count} workspaces were launched with it",
                remediation="Look at them with `prism workspace list`",
            )

    def _add(self, tx: Tx, profile: Profile) -> None:
        store.add(tx, profile)
        event = ProfileCreated(
            actor=self._actor(), subject=profile.name, provider=profile.provider
        )
        tx.happened(event)

    def _check_fixed(self, name: str) -> None:
        if self._fixed and self._fixed != name:
            raise ProfileFixed(
                details=f"PRISM_PROFILE is {self._fixed!r}",
                remediation="Unset PRISM_PROFILE and run `prism daemon stop`",
            )

    def _active(self, sql: Connection) -> str:
        return self._fixed or store.active_of(sql, self._actor()) or _default(store.every(sql))

    def _named(self, sql: Connection, name: str) -> Profile:
        if profile := store.named(sql, name):
            return profile
        raise ProfileNotFound(
            f"Profile {name!r} not found",
            details=f"PRISM_PROFILE is {name!r}" if name == self._fixed else "",
            remediation="Use `prism profile list` to see available profiles",
        )

    def _now(self) -> datetime:
        return whole(self._clock.now())


def _default(profiles: Sequence[Profile]) -> str:
    """The profile of a user who never switched."""
    names = [profile.name for profile in profiles]
    return FIRST_PROFILE if FIRST_PROFILE in names or not names else names[0]


def _shown(profile: Profile, active: str) -> ProfileShown:
    return ProfileShown(**structs.asdict(profile), active=profile.name == active)
