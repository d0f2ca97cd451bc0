"""Schema levels: which events a log may hold, so that every release can be rolled back until an operator says so.

Each kind of event needs a level: 1, unless its field of the service's `Event` says more by the option
`(chapar.options.v1.level)`. The level of a log is the highest that a valid claim in it names (`FoldState`). An event
above it is refused before anything is written; a binary that knows no events of the log's level refuses to claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import Message

from chapar.options.v1 import options_pb2 as options

FIRST_LEVEL = 1
"""The level of every log from its first record on."""


class LogTooNew(RuntimeError):
    """A log of a schema level that this binary does not know."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The events that a binary knows."""

    levels: Mapping[str, int]
    """Level that an event needs, by field of `Event`; those of the first level are left out."""

    @property
    def supported(self) -> int:
        """The highest level whose events this binary knows."""
        return max(self.levels.values(), default=FIRST_LEVEL)

    def level_of(self, event: Message) -> int:
        """The level that a log must have before this event may be written to it."""
        if not self.levels:
            return FIRST_LEVEL
        return max((self.levels.get(field.name, FIRST_LEVEL) for field, _ in event.ListFields()), default=FIRST_LEVEL)

    def problem_of(self, level: int) -> str:
        """Why this binary must leave a log of this level alone; empty when it knows the level."""
        if level <= self.supported:
            return ""
        return f"this binary knows level {self.supported}, the log is at {level}: start a newer release"


def schema_of(event_type: type[Message]) -> Schema:
    """The schema of a service's `Event`, read off the options of its fields."""
    levels = {field.name: field.GetOptions().Extensions[options.level] for field in event_type.DESCRIPTOR.fields}
    return Schema({name: level for name, level in levels.items() if level > FIRST_LEVEL})
