"""Places in a journal partition."""

from __future__ import annotations

from typing import NamedTuple


class Position(NamedTuple):
    """The place of an event: offset of its block, index of the event among all events of that block, from 0."""

    offset: int
    event_index: int


NOWHERE = Position(-1, -1)
"""Before the first event."""
