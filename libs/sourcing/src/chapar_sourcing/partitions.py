"""From a key to its slot, and from a slot to its partition.

Keys hash to one of 16,384 slots; slots map to partitions in even, contiguous ranges. The slot of a key never changes;
the map may, with a new generation of the journal.
"""

from __future__ import annotations

import hashlib

SLOTS = 16_384


def slot_of(key: str) -> int:
    """The slot of a key: the first two bytes of its BLAKE2b digest of 8 bytes, big-endian, modulo 16,384."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:2], "big") % SLOTS


def partition_of_slot(slot: int, partitions: int) -> int:
    """The partition that holds a slot, for 1 to 16,384 partitions."""
    if not 0 <= slot < SLOTS:
        raise ValueError(f"slot {slot} is outside 0..{SLOTS - 1}")
    return slot * partitions // SLOTS


def partition_of(key: str, partitions: int) -> int:
    """The partition that holds a key."""
    return partition_of_slot(slot_of(key), partitions)


def slot_prefix(slot: int) -> str:
    """How ids begin that carry their slot in the open: "sXXXX."."""
    return f"s{slot:04x}."


def slot_of_prefixed(text: str) -> int | None:
    """The slot that an id names, or None when it does not begin with a canonical prefix."""
    if len(text) < 6 or text[0] != "s" or text[5] != ".":
        return None
    digits = text[1:5]
    if any(c not in "0123456789abcdef" for c in digits):
        return None
    slot = int(digits, 16)
    return slot if slot < SLOTS else None


def partition_of_id(text: str, partitions: int) -> int:
    """The partition of an id: by the slot it names, where it names one, otherwise by its hash."""
    slot = slot_of_prefixed(text)
    return partition_of(text, partitions) if slot is None else partition_of_slot(slot, partitions)
