"""Unread is what counting by hand gives, however late, often and out of order inboxes hear of things."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chapar.messaging.v1 import messaging_pb2 as api
from chapar_messaging.inbox import (
    MEMBERSHIP,
    SEQUENCE_MAX,
    Row,
    fields_of_joining,
    fields_of_leaving,
    fields_of_message,
    row_of,
)
from chapar_messaging.queries.inboxes import read_inbox
from chapar_messaging.reactors.fan_out import FanOut, MembersCache
from chapar_sourcing.domain import Document, Key
from chapar_sourcing.reactions import Advance

from .play import (
    ARASH,
    BAHAR,
    CYRUS,
    DIRECT,
    GROUP,
    MemoryView,
    Play,
    add,
    create_group,
    remove,
    send,
)
from .sealing import make_sealer


def advances_to(user_id: str, advances: list[Advance]) -> list[api.InboxEvent]:
    return [api.InboxEvent.FromString(advance.hint) for advance in advances if advance.key == user_id]


async def test_a_message_read_late_does_not_reach_who_came_after_it() -> None:
    play = Play().given(create_group(), send(ARASH, GROUP), add(ARASH, BAHAR), send(ARASH, GROUP))
    reaction, view = FanOut(make_sealer()), MemoryView(play.documents)
    advances = [advance for event, source in play.events for advance in await reaction.react(event, source, view)]
    kinds = [(event.WhichOneof("kind"), event.message.sequence) for event in advances_to(BAHAR, advances)]
    assert kinds == [("membership", 0), ("message", 2)]


async def test_a_removed_member_hears_of_that_and_of_nothing_after_it() -> None:
    play = Play().given(create_group(others=[BAHAR]), send(ARASH, GROUP), remove(ARASH, BAHAR), send(ARASH, GROUP))
    reaction, view = FanOut(make_sealer()), MemoryView(play.documents)
    advances = [advance for event, source in play.events for advance in await reaction.react(event, source, view)]
    last = advances_to(BAHAR, advances)[-1].membership
    assert (last.conversation_id, last.member, last.change_sequence) == (GROUP, False, 3)
    view.advance(advances)
    assert await read_inbox(view, BAHAR) == []


async def test_members_are_read_once_for_messages_after_the_same_change() -> None:
    play = Play().given(create_group(others=[BAHAR]), send(ARASH, GROUP), send(BAHAR, GROUP))
    reaction, view = FanOut(make_sealer()), MemoryView(play.documents)
    for event, source in play.events:
        await reaction.react(event, source, view)
    assert view.scans == 1


async def test_members_are_read_anew_after_a_change() -> None:
    play = Play().given(create_group(others=[BAHAR]), send(ARASH, GROUP))
    reaction = FanOut(make_sealer())
    assert await reached(reaction, play, play.documents) == {ARASH, BAHAR}
    play.given(add(ARASH, CYRUS), send(ARASH, GROUP))
    assert await reached(reaction, play, play.documents) == {ARASH, BAHAR, CYRUS}


async def test_members_are_not_remembered_for_a_change_that_the_message_does_not_vouch_for() -> None:
    play = Play().given(create_group(others=[BAHAR]), send(ARASH, GROUP))
    undone = Play(dict(play.documents), now_ms=play.now_ms).given(remove(ARASH, BAHAR))
    reaction = FanOut(make_sealer())
    assert await reached(reaction, play, undone.documents) == {ARASH}
    play.given(send(ARASH, GROUP))
    assert await reached(reaction, play, play.documents) == {ARASH, BAHAR}


class ChangingView(MemoryView):
    """Shows other documents before or after a scan than during it."""

    def __init__(self, *documents: Mapping[Key, Document]) -> None:
        super().__init__(documents[0])
        self._later = list(documents[1:])

    async def scan(self, *args: Any, **kwargs: Any) -> Sequence[tuple[Key, Document]]:
        found = await super().scan(*args, **kwargs)
        if self._later:
            self.documents = self._later.pop(0)
        return found


@pytest.mark.parametrize("undone_first", [True, False])
async def test_members_are_not_remembered_when_they_change_while_being_read(undone_first: bool) -> None:
    play = Play().given(create_group(others=[BAHAR]), send(ARASH, GROUP))
    undone = Play(dict(play.documents), now_ms=play.now_ms).given(remove(ARASH, BAHAR)).documents
    documents = [undone, play.documents] if undone_first else [play.documents, undone]
    reaction = FanOut(make_sealer())
    event, source = play.events[-1]
    view = ChangingView(*documents)
    await reaction.react(event, source, view)
    await reaction.react(event, source, view)
    assert view.scans == 2


async def test_the_least_recently_used_conversation_is_forgotten_first() -> None:
    play = Play().given(create_group(), send(ARASH, GROUP), send(ARASH))
    cache, view = MembersCache(1), MemoryView(play.documents)
    for conversation_id, change in [(GROUP, 1), (DIRECT, 2), (DIRECT, 2), (GROUP, 1)]:
        assert (ARASH, 1) in await cache.read(view, conversation_id, change)
    assert view.scans == 3


async def reached(reaction: FanOut, play: Play, documents: Mapping[Key, Document]) -> set[str]:
    """Whom the newest event reaches when these documents are seen."""
    event, source = play.events[-1]
    return {advance.key for advance in await reaction.react(event, source, MemoryView(documents))}


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=5))
def test_rows_merge_by_number_however_many_bytes_it_takes(numbers: list[int]) -> None:
    view = MemoryView()
    for number in numbers:
        joining = {MEMBERSHIP: fields_of_joining(number + 1, number + 1, 0)[MEMBERSHIP]}
        view.advance([Advance(BAHAR, GROUP, joining)])
        view.advance([Advance(BAHAR, GROUP, fields_of_message(number + 2, number, own=True))])
    [row] = asyncio.run(read_inbox(view, BAHAR))
    highest = max(numbers)
    assert row == Row(GROUP, highest + 2, highest, highest + 2, 0, highest + 1, highest + 1)


def test_a_row_is_live_only_once_membership_is_known() -> None:
    view = MemoryView()
    view.advance([Advance(BAHAR, GROUP, fields_of_message(3, 5, own=False))])
    assert asyncio.run(read_inbox(view, BAHAR)) == []
    view.advance([Advance(BAHAR, GROUP, fields_of_joining(2, 2, 4))])
    assert asyncio.run(read_inbox(view, BAHAR)) == [Row(GROUP, 3, 5, 1, 2, 2, 2)]
    view.advance([Advance(BAHAR, GROUP, fields_of_leaving(9)), Advance(BAHAR, GROUP, fields_of_joining(2, 2, 4))])
    assert asyncio.run(read_inbox(view, BAHAR)) == []


def test_a_cursor_ahead_of_the_head_leaves_nothing_unread() -> None:
    fields = {**fields_of_joining(1, 1, 4), **fields_of_message(3, 5, own=False)}
    assert row_of(GROUP, fields, SEQUENCE_MAX).unread_count == 0
