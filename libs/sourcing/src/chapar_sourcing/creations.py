"""Commands of reactors that make something exactly once, however often they are sent.

The target partition keeps one `CreationMark` a source partition: the position of the last creation applied. A command
names its own position and the one before it for this target, so that a repetition is recognised and a hole is noticed.
"""

from __future__ import annotations

from enum import Enum

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Document, Key, ordered
from chapar_sourcing.positions import NOWHERE, Position

CREATION_KIND = "creation"


class CreationMark(Document, frozen=True, array_like=True):
    """The last creation applied of one source partition."""

    offset: int
    index: int


class Judgement(Enum):
    """What a creation is to its target."""

    NEXT = "next"
    """Apply it, and move the mark."""
    REPEATED = "repeated"
    """It was applied: accept it without events."""
    HOLE = "hole"
    """One before it is missing: refuse it with `REASON_CREATION_HOLE`; the reactor sends again from its cursor."""


HOLE_REASON = "REASON_CREATION_HOLE"


def creation_key(creation: journal.Creation) -> Key:
    """The mark's document on the target partition."""
    return Key(CREATION_KIND, creation.source, ordered(creation.source_partition))


def judge(mark: Document | None, creation: journal.Creation) -> Judgement:
    """Compares a creation with the mark of its source."""
    last = Position(mark.offset, mark.index) if isinstance(mark, CreationMark) else NOWHERE
    position = Position(creation.position.offset, creation.position.index)
    if position <= last:
        return Judgement.REPEATED
    previous = Position(creation.previous.offset, creation.previous.index) if creation.HasField("previous") else NOWHERE
    return Judgement.NEXT if previous == last else Judgement.HOLE


def moved(creation: journal.Creation) -> CreationMark:
    """The mark after this creation."""
    return CreationMark(creation.position.offset, creation.position.index)
