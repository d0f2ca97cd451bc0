"""What an inbox must show at rest, by going through the whole log anew: slow, and written from the rules alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from chapar.messaging.journal.v1 import journal_pb2 as journal


class Seen(NamedTuple):
    """A conversation that a user is in, as its inbox row shows it."""

    head: int
    active_ms: int
    unread: int
    read: int
    first_visible: int
    change: int


@dataclass
class Place:
    """A conversation, as its events tell it."""

    messages: dict[int, tuple[str, int]] = field(default_factory=dict)
    """(sender, time) by number."""
    deleted: dict[int, int] = field(default_factory=dict)
    """Change number by message number."""
    members: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """(first visible, change number, time) of coming in, of those who are in."""
    marked: dict[str, int] = field(default_factory=dict)


def seen_by_hand(events: Iterable[tuple[journal.Event, int]], user_id: str) -> Mapping[str, Seen]:
    """What a user's inbox shows once it has heard of everything, by conversation id; events come with their times."""
    return seen_in(placed(events), user_id)


def placed(events: Iterable[tuple[journal.Event, int]]) -> Mapping[str, Place]:
    """All conversations of a log, by id."""
    places: dict[str, Place] = {}
    for event, time_ms in events:
        kind = str(event.WhichOneof("kind"))
        happened = getattr(event, kind)
        if kind == "content_erased":
            continue
        place = places.setdefault(happened.conversation_id, Place())
        match kind:
            case "message_sent":
                place.messages[happened.sequence] = happened.sender_user_id, time_ms
            case "payment_card_posted":
                place.messages[happened.sequence] = happened.payer_user_id, time_ms
            case "message_deleted":
                place.deleted[happened.sequence] = happened.change_sequence
            case "member_added":
                came_in = happened.first_visible_sequence, happened.change_sequence, time_ms
                place.members[happened.user_id] = came_in
            case "member_removed":
                del place.members[happened.user_id]
            case "read_cursor_moved":
                place.marked[happened.user_id] = happened.sequence
    return places


def seen_in(places: Mapping[str, Place], user_id: str) -> Mapping[str, Seen]:
    """What a user's inbox shows of these conversations."""
    return {name: _seen(place, user_id) for name, place in places.items() if user_id in place.members}


def _seen(place: Place, user_id: str) -> Seen:
    first_visible, joined, joined_ms = place.members[user_id]
    visible = {sequence: message for sequence, message in place.messages.items() if sequence >= first_visible}
    own = [sequence for sequence, (sender, _) in visible.items() if sender == user_id]
    read = max([place.marked.get(user_id, 0), first_visible - 1, *own])
    return Seen(
        head=max(visible, default=0),
        active_ms=max([joined_ms, *(time_ms for _, time_ms in visible.values())]),
        unread=sum(
            1
            for sequence, (sender, _) in visible.items()
            if sequence > read and sender != user_id and sequence not in place.deleted
        ),
        read=read,
        first_visible=first_visible,
        change=max([joined, *(change for sequence, change in place.deleted.items() if sequence >= first_visible)]),
    )
