"""What holds after any commands: dense numbers, one owner, heads that count rightly."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar.messaging.v1 import messaging_pb2 as api
from chapar_messaging.domain.conversations.documents import CONVERSATION_KIND
from chapar_messaging.domain.messages.documents import MESSAGE_KIND
from chapar_sourcing.domain import ordered

from .play import (
    ARASH,
    BAHAR,
    CYRUS,
    DARYA,
    DIRECT,
    GROUP,
    Play,
    add,
    create_group,
    delete,
    leave,
    mark_read,
    post_card,
    remove,
    send,
    set_role,
)

users = st.sampled_from([ARASH, BAHAR, CYRUS, DARYA])
places = st.sampled_from([GROUP, GROUP, GROUP, DIRECT])
roles = st.sampled_from([api.ROLE_MEMBER, api.ROLE_ADMIN, api.ROLE_OWNER])
commands: st.SearchStrategy[journal.Command] = st.one_of(
    st.builds(send, users, places, reply_to=st.integers(0, 4)),
    st.builds(delete, users, st.integers(0, 6), places),
    st.builds(add, users, users, places),
    st.builds(remove, users, users, places),
    st.builds(set_role, users, users, roles, places),
    st.builds(leave, users, places),
    st.builds(mark_read, users, st.integers(0, 8), places),
    st.builds(post_card, st.integers(0, 3), st.none() | st.integers(0, 2)),
)
MOVED_BY = {"member_added", "member_removed", "member_role_changed", "message_deleted"}


def numbers(play: Play, conversation_id: str, kinds: set[str], name: str) -> Sequence[int]:
    placed = [
        getattr(event, str(event.WhichOneof("kind"))) for event, _ in play.events if event.WhichOneof("kind") in kinds
    ]
    return [getattr(event, name) for event in placed if event.conversation_id == conversation_id]


def check(play: Play, conversation_id: str) -> None:
    head, members = play.head(conversation_id), play.members(conversation_id)
    assert head.member_count == len(members)
    assert all(1 <= member.first_visible_sequence <= head.message_sequence + 1 for member in members.values())
    changes = numbers(play, conversation_id, MOVED_BY, "change_sequence")
    assert changes == list(range(1, head.change_sequence + 1))
    sequences = numbers(play, conversation_id, {"message_sent", "payment_card_posted"}, "sequence")
    assert sequences == list(range(1, head.message_sequence + 1))
    stored = [key.id for key in play.documents if (key.kind, key.parent) == (MESSAGE_KIND, conversation_id)]
    assert sorted(stored) == [ordered(sequence) for sequence in sequences]
    owners = [user_id for user_id, member in members.items() if member.role == api.ROLE_OWNER]
    if head.kind == api.CONVERSATION_KIND_GROUP:
        assert len(owners) == (1 if members else 0)
    else:
        assert (len(members), owners) == (2, [])


@settings(max_examples=200, deadline=None)
@given(st.lists(commands, max_size=60))
def test_numbers_are_dense_and_groups_have_one_owner_after_any_commands(history: list[journal.Command]) -> None:
    play = Play().given(create_group(others=[BAHAR, CYRUS]))
    for command in history:
        play.when(command)
        for key in [key for key in play.documents if key.kind == CONVERSATION_KIND]:
            check(play, key.parent)


@settings(max_examples=50, deadline=None)
@given(st.lists(commands, max_size=40))
def test_the_same_events_give_the_same_documents(history: list[journal.Command]) -> None:
    play = Play().given(create_group(others=[BAHAR, CYRUS]))
    for command in history:
        play.when(command)
    again = Play()
    for event, source in play.events:
        again.now_ms = source.time_ms
        for key in again.domain.touches(event):
            again._evolve(key, event)
    assert again.documents == play.documents
