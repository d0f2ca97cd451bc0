"""Which messages of a conversation were deleted: one bit a message, 256 of them a document, where any was.

Bits are only ever set. So of two states of a block the later one is the greater as bytes, which is how inboxes merge.
"""

from __future__ import annotations

from typing import Final

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Document, Documents, Key, ordered

DELETIONS_KIND = "deletions"
BLOCK_MESSAGES: Final = 256
_BLOCK_BYTES: Final = BLOCK_MESSAGES // 8


class Deletions(Document, frozen=True, array_like=True):
    """The deleted ones among the messages of one block."""

    bits: bytes
    """32 bytes, big-endian: the lowest bit is the block's first message."""


def block_of(sequence: int) -> int:
    """The block of a message: block 0 holds messages 0 to 255, of which 0 never exists."""
    return sequence // BLOCK_MESSAGES


def deletions_key(conversation_id: str, sequence: int) -> Key:
    """Where a message's bit is."""
    return Key(DELETIONS_KIND, conversation_id, ordered(block_of(sequence)))


def deletions_in(documents: Documents, conversation_id: str, sequence: int) -> Deletions | None:
    """The block of a message among documents, if anything in it was deleted."""
    found = documents.get(deletions_key(conversation_id, sequence))
    assert found is None or isinstance(found, Deletions)
    return found


def evolve_deletions(deletions: Deletions | None, event: journal.Event) -> Deletions:
    """A block after one more message of it was deleted."""
    bits = int.from_bytes(deletions.bits if deletions else b"", "big")
    bit = 1 << event.message_deleted.sequence % BLOCK_MESSAGES
    assert not bits & bit
    return Deletions((bits | bit).to_bytes(_BLOCK_BYTES, "big"))


def deleted_between(block: int, bits: bytes, after: int, last: int) -> int:
    """How many messages of a block were deleted that are above `after` and not above `last`."""
    first = block * BLOCK_MESSAGES
    low = min(max(after + 1 - first, 0), BLOCK_MESSAGES)
    high = min(max(last + 1 - first, low), BLOCK_MESSAGES)
    return (int.from_bytes(bits, "big") >> low & (1 << high - low) - 1).bit_count()


def without_below(block: int, bits: bytes, sequence: int) -> bytes:
    """The bits of a block without those of messages below `sequence`; empty where none are left."""
    shift = min(max(sequence - block * BLOCK_MESSAGES, 0), BLOCK_MESSAGES)
    kept = int.from_bytes(bits, "big") >> shift << shift
    return kept.to_bytes(_BLOCK_BYTES, "big") if kept else b""
