"""Unread is what counting by hand gives, however late, often and out of order inboxes hear of things."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chapar.messaging.journal.v1 import journal_pb2 as journal
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
    DARYA,
    DIRECT,
    GROUP,
    MemoryView,
    Play,
    add,
    create_group,
    leave,
    mark_read,
    post_card,
    remove,
    send,
)
from .sealing import make_sealer

USERS = [ARASH, BAHAR, CYRUS, DARYA]
others = st.sampled_from([BAHAR, CYRUS, DARYA])
users = st.sampled_from(USERS)
places = st.sampled_from([GROUP, GROUP, DIRECT])
commands: st.SearchStrategy[journal.Command] = st.one_of(
    st.builds(send, users, places),
    st.builds(send, users, places),
    st.builds(add, st.just(ARASH), others),
    st.builds(remove, st.just(ARASH), others),
    st.builds(leave, others),
    st.builds(mark_read, users, st.integers(0, 12), places),
    st.builds(post_card, st.integers(0, 2), st.none() | st.integers(0, 1)),
)


def unread_by_hand(play: Play, user_id: str) -> Mapping[str, int]:
    """Messages of others that the user may see, after the last they marked or wrote, by going through all of them."""
    messages: list[tuple[str, int, str]] = []
    read: dict[str, int] = {}
    for event, _ in play.events:
        match event.WhichOneof("kind"):
            case "message_sent":
                sent = event.message_sent
                messages.append((sent.conversation_id, sent.sequence, sent.sender_user_id))
            case "payment_card_posted":
                posted = event.payment_card_posted
                messages.append((posted.conversation_id, posted.sequence, posted.payer_user_id))
            case "read_cursor_moved" if event.read_cursor_moved.user_id == user_id:
                moved = event.read_cursor_moved
                read[moved.conversation_id] = max(read.get(moved.conversation_id, 0), moved.sequence)
    for conversation_id, sequence, sender in messages:
        if sender == user_id:
            read[conversation_id] = max(read.get(conversation_id, 0), sequence)
    visible_from = {
        place: play.members(place)[user_id].first_visible_sequence
        for place in (GROUP, DIRECT)
        if user_id in play.members(place)
    }
    return {
        place: sum(
            1
            for conversation_id, sequence, sender in messages
            if conversation_id == place
            and sender != user_id
            and sequence >= first_visible
            and sequence > read.get(place, 0)
        )
        for place, first_visible in visible_from.items()
    }


async def heard(play: Play, snapshots: list[dict[Key, Document]], born: list[int], data: st.DataObject) -> MemoryView:
    """Inboxes after the reactor saw each event once or more, at its own time or later, and sent in any order."""
    reaction = FanOut(make_sealer())
    advances: list[Advance] = []
    for index, (event, source) in enumerate(play.events):
        for _ in range(data.draw(st.integers(1, 2))):
            seen_at = data.draw(st.integers(born[index], len(snapshots) - 1))
            advances += await reaction.react(event, source, MemoryView(snapshots[seen_at]))
    view = MemoryView(play.documents)
    view.advance(data.draw(st.permutations(advances)))
    view.advance(data.draw(st.lists(st.sampled_from(advances), max_size=10)))
    return view


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(st.lists(commands, min_size=8, max_size=40), st.data())
def test_unread_is_what_counting_gives(history: list[journal.Command], data: st.DataObject) -> None:
    play = Play()
    snapshots: list[dict[Key, Document]] = []
    born: list[int] = []
    for command in [create_group(others=[BAHAR, CYRUS]), *history]:
        play.when(command)
        snapshots.append(dict(play.documents))
        born += [len(snapshots) - 1] * (len(play.events) - len(born))

    async def compare() -> None:
        view = await heard(play, snapshots, born, data)
        for user_id in USERS:
            rows = {row.conversation_id: row for row in await read_inbox(view, user_id)}
            assert {place: row.unread_count for place, row in rows.items()} == unread_by_hand(play, user_id)
            for place, row in rows.items():
                first_visible = play.members(place)[user_id].first_visible_sequence
                head = play.head(place).message_sequence
                assert row.first_visible_sequence == first_visible
                assert row.head_sequence == (head if head >= first_visible else 0)

    asyncio.run(compare())


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
    assert asyncio.run(read_inbox(view, BAHAR)) == [Row(GROUP, 3, 5, 0, 2, 2, 2)]
    view.advance([Advance(BAHAR, GROUP, fields_of_leaving(9)), Advance(BAHAR, GROUP, fields_of_joining(2, 2, 4))])
    assert asyncio.run(read_inbox(view, BAHAR)) == []


def test_a_cursor_ahead_of_the_head_leaves_nothing_unread() -> None:
    fields = {**fields_of_joining(1, 1, 4), **fields_of_message(3, 5, own=False)}
    assert row_of(GROUP, fields, SEQUENCE_MAX).unread_count == 0
