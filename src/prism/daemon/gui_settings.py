"""What a person has chosen in the web GUI: its appearance, saved views.

The GUI's origin is new at each start of the daemon, so a browser would forget them.
"""

import os
import threading
from pathlib import Path
from typing import Annotated

import msgspec
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from prism.errors import ValidationFailed
from prism.kit.routes import Routes

FILE, MOST_SETTINGS = "gui.json", 64
SettingName = Annotated[str, Meta(min_length=1, max_length=64)]
SettingValue = Annotated[str, Meta(max_length=65536)]


class GuiSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the web GUI, by name; the daemon does not interpret them."""

    values: Annotated[dict[SettingName, SettingValue], Meta(max_length=MOST_SETTINGS)] = {}


class GuiSettingsFile:
    """Keeps them in the home."""

    def __init__(self, home: Path) -> None:
        self._file, self._lock = home / FILE, threading.Lock()

    def read(self) -> GuiSettings:
        """The settings; none if the file does not exist or cannot be read."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=GuiSettings)
        except (OSError, msgspec.DecodeError):
            return GuiSettings()

    def change(self, settings: GuiSettings) -> GuiSettings:
        """Add or replace these; the others stay."""
        with self._lock:
            values = self.read().values | settings.values
            if len(values) > MOST_SETTINGS:
                raise ValidationFailed.of(("values", f"more than {MOST_SETTINGS} settings"))
            changed = GuiSettings(values)
            draft = self._file.with_suffix(".new")
            draft.write_bytes(msgspec.json.encode(changed))
            os.replace(draft, self._file)
            return changed


Kept = NamedDependency[GuiSettingsFile]
router = Routes("/api/v1/daemon/gui", tags=["daemon"])


@router.get(sync_to_thread=True)
def show_gui_settings(gui_settings: Kept) -> GuiSettings:
    """The settings of the web GUI."""
    return gui_settings.read()


@router.put(sync_to_thread=True)
def change_gui_settings(data: JSONBody[GuiSettings], gui_settings: Kept) -> GuiSettings:
    """Change settings of the web GUI; those that are not given stay."""
    return gui_settings.change(data)
