"""The database's generation, written as a tag on one machine or volume of a location.

Each survey reads it, so that a database restored from a backup is noticed even if nothing on this
computer shows it. The survey after a change writes it, on a machine of ours or else on a volume;
if nothing changes, there is no additional call.
"""

import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from prism.errors import Problem, Unavailable
from prism.providers.aws.api import tags as names
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.tags import Tags
from prism.providers.aws.compute.instance import Ec2Instance
from prism.recovery.ports import GenerationMarks

log = logging.getLogger(__name__)
Kind = Literal["machines", "volumes"]
MACHINES_CARRY = ("machines", "volumes")  # a survey of volumes does not write then


class GenerationTags:
    """Reads and writes the tag, for one account and region."""

    def __init__(self, cloud: Cloud, generation: GenerationMarks | None) -> None:
        self._cloud, self._generation = cloud, generation
        self._lock = threading.Lock()
        self._changes = -1  # `Cloud.changes` when the tag was written
        self._carrier: tuple[Kind, str] | None = None
        self._compared: set[Kind] = set()

    @property
    def compared(self) -> bool:
        """Whether the generation on the machines of this location was compared with ours."""
        return (
            "machines" in self._compared or self._generation is None or not self._generation.begun
        )

    def machines(self, instances: Sequence[Ec2Instance]) -> None:
        """Compare the tags of surveyed machines with ours; write the tag if it is due."""
        living = [instance.id for instance in instances if not instance.gone]
        self._compare("machines", {instance.id: instance.tags for instance in instances}, living)

    def volumes(self, by_id: Mapping[str, Tags]) -> None:
        """Compare the tags of surveyed volumes with ours; write the tag if it is due."""
        self._compare("volumes", by_id, by_id.keys())

    def _compare(self, kind: Kind, by_id: Mapping[str, Tags], living: Collection[str]) -> None:
        if self._generation is None or not self._generation.begun:
            return
        texts = [tags[names.GENERATION] for tags in by_id.values() if names.GENERATION in tags]
        self._generation.compare(texts, first=kind not in self._compared)
        self._compared.add(kind)
        with self._lock:
            self._tag(self._generation, kind, {id: by_id[id] for id in living})

    def _tag(self, generation: GenerationMarks, kind: Kind, by_id: Mapping[str, Tags]) -> None:
        if not self._is_due(kind, by_id):
            return
        keys = generation.ours({tags.get(names.ID_TAG, "") for tags in by_id.values()})
        able = [id for id, tags in by_id.items() if tags.get(names.ID_TAG) in keys]
        if able:
            self._write(generation.text, kind, max(able, key=lambda id: _event_of(by_id[id])))

    def _is_due(self, kind: Kind, ids: Collection[str]) -> bool:
        """Whether the generation has changed since it was written, or its carrier is gone."""
        if self._carrier is None:
            return True
        carried_by, id = self._carrier
        if carried_by == kind and id not in ids:
            self._carrier = None
            return True
        return self._changes != self._cloud.changes and (carried_by, kind) != MACHINES_CARRY

    def _write(self, text: str, kind: Kind, id: str) -> None:
        changes = self._cloud.changes
        try:
            self._cloud.tag(id, {names.GENERATION: text})
        except Unavailable as away:  # the next survey tries again
            log.warning("the generation of the database is not written on %s yet: %s", id, away)
            return
        except Problem as error:  # the next change tries again
            log.warning("the generation of the database cannot be written on %s: %s", id, error)
        self._carrier, self._changes = (kind, id), changes + 1


def _event_of(tags: Tags) -> int:
    number = tags.get(names.GENERATION, "").rpartition(" ")[2]
    return int(number) if number.isdecimal() else -1
