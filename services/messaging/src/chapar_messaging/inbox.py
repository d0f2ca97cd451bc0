"""Inbox rows: which fields Advances carry, and what a user's inbox makes of them.

A row's fields are written by many Advances in any order, some of them twice; each field keeps the greatest value. So
every value is encoded big-endian with what decides first. Which messages were deleted is one field a block of 256 that
has any, a bit a message: bits are only ever set, so the greater of two values is the later one. Nothing here waits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chapar_messaging.domain.messages.deletions import block_of, deleted_between, without_below

HEAD = "head"
ACTIVITY = "activity"
OWN = "own"
MEMBERSHIP = "membership"
CHANGE = "change"
DELETED = "deleted/"
"""Followed by the block's number."""

SEQUENCE_MAX = 10**15
"""No conversation gets this far; a client that says so is wrong."""

_NUMBER = struct.Struct(">Q")
_MEMBERSHIP = struct.Struct(">Q?Q")

Fields = Mapping[str, bytes]


def fields_of_message(sequence: int, time_ms: int, *, own: bool) -> Fields:
    """What a message does to the row of somebody who may see it; `own` for its sender."""
    fields = {HEAD: _NUMBER.pack(sequence), ACTIVITY: _NUMBER.pack(time_ms)}
    return fields | {OWN: _NUMBER.pack(sequence)} if own else fields


def fields_of_joining(change_sequence: int, first_visible_sequence: int, time_ms: int) -> Fields:
    """What coming in does to one's own row."""
    return {
        MEMBERSHIP: _MEMBERSHIP.pack(change_sequence, True, first_visible_sequence),
        ACTIVITY: _NUMBER.pack(time_ms),
    }


def fields_of_leaving(change_sequence: int) -> Fields:
    """What going out does to one's own row: it stays as a tombstone."""
    return {MEMBERSHIP: _MEMBERSHIP.pack(change_sequence, False, 0)}


def fields_of_deletion(change_sequence: int, sequence: int, block_bits: bytes) -> Fields:
    """What a deletion does to the row of somebody who may see the message; `block_bits`: its block then or later."""
    return {CHANGE: _NUMBER.pack(change_sequence), f"{DELETED}{block_of(sequence)}": block_bits}


@dataclass(frozen=True, slots=True)
class Row:
    """A conversation that the user is in, as its row and read cursor say."""

    conversation_id: str
    head_sequence: int
    """Newest message that the user may see; 0 for none."""
    activity_time_ms: int
    read_sequence: int
    """Never below the one before the first visible: what somebody said in a former time is nothing to them."""
    unread_count: int
    first_visible_sequence: int
    change_sequence: int
    """Newest change that concerns the user: their membership, or a deletion."""


def is_live(fields: Fields) -> bool:
    """Whether the user is in the conversation: rows of those who went out are tombstones, and a row may hear of a
    message before it hears that the user came in."""
    membership = fields.get(MEMBERSHIP)
    return membership is not None and _MEMBERSHIP.unpack(membership)[1]


def row_of(conversation_id: str, fields: Fields, marked_sequence: int) -> Row:
    """A live row as its user sees it; `marked_sequence` is their last MarkRead."""
    membership_change, _, first_visible = _MEMBERSHIP.unpack(fields[MEMBERSHIP])
    head = _number(fields, HEAD)
    read = max(_number(fields, OWN), marked_sequence, first_visible - 1)
    return Row(
        conversation_id=conversation_id,
        head_sequence=head if head >= first_visible else 0,
        activity_time_ms=_number(fields, ACTIVITY),
        read_sequence=read,
        unread_count=max(0, head - read) - _deleted_between(fields, read, head),
        first_visible_sequence=first_visible,
        change_sequence=max(membership_change, _number(fields, CHANGE)),
    )


def settled(fields: Fields) -> Fields:
    """What of a row means anything to its user: nothing of those who are out, nothing below the first visible message.

    An earlier membership may have left that behind in one row and not in another that was built of the same logs.
    """
    if not is_live(fields):
        return {}
    _, _, first_visible = _MEMBERSHIP.unpack(fields[MEMBERSHIP])
    return {name: value for name, value in _visible(fields, first_visible) if value}


def _visible(fields: Fields, first_visible: int) -> Iterator[tuple[str, bytes]]:
    for name, value in fields.items():
        if name in (HEAD, OWN):
            yield name, value if _NUMBER.unpack(value)[0] >= first_visible else b""
        elif name.startswith(DELETED):
            yield name, without_below(int(name.removeprefix(DELETED)), value, first_visible)
        elif name == CHANGE:
            yield name, value if value > fields[MEMBERSHIP][: _NUMBER.size] else b""
        else:
            yield name, value


def _deleted_between(fields: Fields, after: int, last: int) -> int:
    """Deleted ones of `after` < message <= `last`; all of them are of others where `after` is not below one's own."""
    blocks = range(block_of(after + 1), block_of(last) + 1)
    if len(blocks) > len(fields):
        marked = {int(name.removeprefix(DELETED)) for name in fields if name.startswith(DELETED)}
        return sum(deleted_between(block, fields[f"{DELETED}{block}"], after, last) for block in marked)
    return sum(deleted_between(block, fields.get(f"{DELETED}{block}", b""), after, last) for block in blocks)


def _number(fields: Fields, name: str) -> int:
    value = fields.get(name)
    return 0 if value is None else int(_NUMBER.unpack(value)[0])
