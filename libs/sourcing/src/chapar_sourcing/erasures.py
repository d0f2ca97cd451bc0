"""Erasing a subject's sealed content: the entry that says so, and the mark that it leaves.

An erasure is an event at the subject's partition, in every service that holds keys of the subject. Its mark is a
document, so that whoever owns the partition later, over whatever key store, finds it and destroys what must be gone
(`eraser`). `period_ms` says from when on a key of the subject is good; all earlier ones are destroyed.
"""

from __future__ import annotations

import msgspec

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Document, Documents, Key

ERASURE_KIND = "erasure"

LAST_PERIOD_MS = 2**62
"""The period of a subject that ends: what is sealed for it later is erased from the start."""

FORCED_AHEAD_MS = 3_600_000
"""How far a forced period lies ahead: keys made by clocks that are fast by less than this are destroyed, too."""


class ErasureMark(Document, frozen=True, array_like=True):
    """The newest erasure of one subject."""

    period_ms: int
    """Keys of earlier periods are destroyed."""


def erasure_key(subject: str) -> Key:
    """The mark's document; all marks of a partition are one group."""
    return Key(ERASURE_KIND, "", subject)


def erasure_of(documents: Documents, subject: str, now_ms: int) -> journal.Erasure:
    """Erases a subject that lives on, with a key of its own from now on."""
    mark = documents.get(erasure_key(subject))
    least = mark.period_ms + 1 if isinstance(mark, ErasureMark) else 0
    return journal.Erasure(subject=subject, period_ms=max(now_ms + FORCED_AHEAD_MS, least))


def last_erasure_of(documents: Documents, subject: str) -> journal.Erasure | None:
    """Erases a subject for good; None where that was done."""
    mark = documents.get(erasure_key(subject))
    if isinstance(mark, ErasureMark) and mark.period_ms >= LAST_PERIOD_MS:
        return None
    return journal.Erasure(subject=subject, period_ms=LAST_PERIOD_MS)


def marked(erasure: journal.Erasure) -> ErasureMark:
    """The mark after an erasure."""
    return ErasureMark(erasure.period_ms)


def mark_of(data: bytes) -> ErasureMark:
    """A mark from its document's bytes."""
    return msgspec.msgpack.decode(data, type=ErasureMark)
