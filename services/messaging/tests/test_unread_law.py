"""The law of inboxes: at rest they show what counting by hand through the log gives, whatever happened on the way.

The machine plays commands, a reactor that lags behind the log, dies and starts again, and advances that arrive late,
twice, and in any order, also at inboxes that were lost and are folded anew. At any moment inboxes may be behind the
log, never ahead of it.
"""

from __future__ import annotations

import asyncio
from functools import cache

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chapar_messaging.domain.conversations.documents import conversation_in
from chapar_messaging.domain.messages.deletions import BLOCK_MESSAGES
from chapar_messaging.queries.inboxes import read_inbox
from chapar_messaging.reactors.fan_out import FanOut
from chapar_sourcing.adapters.memory import MemoryKeys
from chapar_sourcing.reactions import Advance

from .by_hand import Seen, seen_by_hand
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
    delete,
    leave,
    mark_read,
    post_card,
    remove,
    send,
)
from .sealing import make_sealer

USERS = [ARASH, BAHAR, CYRUS, DARYA]
users = st.sampled_from(USERS)
others = st.sampled_from([BAHAR, CYRUS, DARYA])
places = st.sampled_from([GROUP, GROUP, GROUP, DIRECT])
back = st.integers(0, 12)
"""How far behind the head; what lies before the first message is asked for, too."""


@cache
def begun(messages: int) -> Play:
    """A group with so many messages in it."""
    play = Play().given(create_group(others=[BAHAR, CYRUS]))
    return play.given(*(send(USERS[number % 3], GROUP) for number in range(messages)))


class Inboxes(RuleBasedStateMachine):
    """Commands, a reactor and inboxes, each at its own pace."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.keys = MemoryKeys()
        self.play = Play()
        self.view = MemoryView()
        self.reactor = FanOut(make_sealer(self.keys))
        self.reacted = 0
        """Events that the reactor has seen since it began."""
        self.under_way: list[Advance] = []
        self.sent: list[Advance] = []
        """Everything that ever arrived somewhere."""

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            self.runner.close()

    # ---- commands

    @initialize(messages=st.sampled_from([0, 0, BLOCK_MESSAGES - 3]))
    def begin(self, messages: int) -> None:
        known = begun(messages)
        self.play = Play(dict(known.documents), list(known.events), known.now_ms)
        self.view = MemoryView(self.play.documents)

    @rule(user_id=users, place=places, count=st.integers(1, 8))
    def send(self, user_id: str, place: str, count: int) -> None:
        for _ in range(count):
            self.play.when(send(user_id, place))

    @rule(payer=st.sampled_from([ARASH, BAHAR]), offset=st.integers(0, 3), previous=st.none() | st.integers(0, 2))
    def post_card(self, payer: str, offset: int, previous: int | None) -> None:
        payee = BAHAR if payer == ARASH else ARASH
        self.play.when(post_card(offset, previous, payer=payer, payee=payee))

    @rule(user_id=users, place=places, back=back)
    def delete(self, user_id: str, place: str, back: int) -> None:
        self.play.when(delete(user_id, max(0, self.head(place) - back), place))

    @rule(place=places, back=back, count=st.integers(2, 12))
    def delete_many(self, place: str, back: int, count: int) -> None:
        for sequence in range(max(0, self.head(place) - back - count), self.head(place) - back):
            self.play.when(delete(ARASH, max(0, sequence), place))

    @rule(user_id=users, place=places, back=st.integers(-5, 12))
    def mark_read(self, user_id: str, place: str, back: int) -> None:
        self.play.when(mark_read(user_id, max(0, self.head(place) - back), place))

    @rule(user_id=others)
    def leave(self, user_id: str) -> None:
        self.play.when(leave(user_id))

    @rule(user_id=others)
    def remove(self, user_id: str) -> None:
        self.play.when(remove(ARASH, user_id))

    @rule(user_id=others)
    def add(self, user_id: str) -> None:
        self.play.when(add(ARASH, user_id))

    # ---- the reactor and what is under way

    @rule(events=st.integers(1, 40))
    def react(self, events: int) -> None:
        for event, source in self.play.events[self.reacted : self.reacted + events]:
            self.under_way += self.runner.run(self.reactor.react(event, source, self.view))
            self.reacted += 1

    @rule(lost=st.integers(0, 40))
    def reactor_dies(self, lost: int) -> None:
        """Its cursor was behind by so many events: it sends their advances again, as the log is by then."""
        self.reactor = FanOut(make_sealer(self.keys))
        self.reacted = max(0, self.reacted - lost)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), count=st.integers(1, 40))
    def arrive(self, data: st.DataObject, count: int) -> None:
        """Some, from any place: lanes are ordered, but targets die and senders send again."""
        for _ in range(min(count, len(self.under_way))):
            index = data.draw(st.integers(0, min(len(self.under_way) - 1, 10)))
            self.deliver(self.under_way.pop(index))

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), count=st.integers(1, 10))
    def arrive_again(self, data: st.DataObject, count: int) -> None:
        for _ in range(count):
            self.view.advance([data.draw(st.sampled_from(self.sent))])

    @rule(keep_under_way=st.booleans())
    def inboxes_are_lost(self, keep_under_way: bool) -> None:
        """A new generation of inboxes: a new reactor folds the log from zero into empty rows."""
        self.view.advanced.clear()
        if not keep_under_way:
            self.under_way.clear()
        self.reactor_dies(len(self.play.events))

    # ---- the law

    @rule()
    def come_to_rest(self) -> None:
        """Everything was reacted to and has arrived: inboxes show what counting by hand gives."""
        self.react(len(self.play.events))
        for advance in self.under_way:
            self.deliver(advance)
        self.under_way.clear()
        events = [(event, source.time_ms) for event, source in self.play.events]
        for user_id in USERS:
            assert self.shown(user_id) == seen_by_hand(events, user_id), user_id

    @invariant()
    def inboxes_are_never_ahead_of_the_log(self) -> None:
        for user_id in USERS:
            for place, row in self.shown(user_id).items():
                assert 0 <= row.unread <= row.head <= self.head(place)
                assert row.change <= self.play.head(place).change_sequence

    # ---- pieces

    def deliver(self, advance: Advance) -> None:
        self.sent.append(advance)
        self.view.advance([advance])

    def head(self, place: str) -> int:
        head = conversation_in(self.play.documents, place)
        return 0 if head is None else head.message_sequence

    def shown(self, user_id: str) -> dict[str, Seen]:
        rows = self.runner.run(read_inbox(self.view, user_id))
        return {
            row.conversation_id: Seen(
                row.head_sequence,
                row.activity_time_ms,
                row.unread_count,
                row.read_sequence,
                row.first_visible_sequence,
                row.change_sequence,
            )
            for row in rows
        }


Inboxes.TestCase.settings = settings(
    max_examples=max(200, settings().max_examples),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestInboxes = Inboxes.TestCase
pytestmark = pytest.mark.laws
