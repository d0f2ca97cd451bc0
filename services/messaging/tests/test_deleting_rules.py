from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chapar.messaging.v1 import messaging_pb2 as api
from chapar_messaging.domain.messages.deletions import BLOCK_MESSAGES, Deletions, deleted_between, deletions_key
from chapar_messaging.domain.messages.documents import StoredMessage, message_key
from chapar_sourcing.domain import Refused

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
    kinds,
    leave,
    post_card,
    remove,
    send,
    set_role,
)

UNKNOWN = Refused("REASON_CONVERSATION_UNKNOWN")
NO_MESSAGE = Refused("REASON_MESSAGE_UNKNOWN")
TOO_LOW = Refused("REASON_ROLE_TOO_LOW")
CARD = Refused("REASON_CARD_NOT_DELETABLE")
GROUP_OF_THREE = [create_group(others=[BAHAR, CYRUS]), send(BAHAR, GROUP)]


def test_what_is_left_of_a_deleted_text_is_who_and_when() -> None:
    play = Play().given(send(ARASH), send(BAHAR, reply_to=1))
    sent_ms = play.now_ms
    assert kinds(play.when(delete(BAHAR, 2, DIRECT))) == ["message_deleted"]
    assert play.documents[message_key(DIRECT, 2)] == StoredMessage(BAHAR, sent_ms, deleted=True)
    assert play.documents[deletions_key(DIRECT, 2)] == Deletions((4).to_bytes(32, "big"))


def test_a_deletion_is_a_change_and_no_message() -> None:
    play = Play().given(*GROUP_OF_THREE)
    before = play.head(GROUP)
    [deleted] = play.given(delete(BAHAR, 1)).events[-1:]
    assert deleted[0].message_deleted.change_sequence == before.change_sequence + 1
    assert play.head(GROUP).change_sequence == before.change_sequence + 1
    assert play.head(GROUP).message_sequence == before.message_sequence
    assert play.head(GROUP).member_count == before.member_count


@pytest.mark.parametrize("again", [ARASH, BAHAR])
def test_deleting_again_changes_nothing(again: str) -> None:
    play = Play().given(*GROUP_OF_THREE, delete(BAHAR, 1))
    before = dict(play.documents)
    assert play.when(delete(again, 1)) == []
    assert play.documents == before


@pytest.mark.parametrize("role", [api.ROLE_ADMIN, api.ROLE_OWNER])
def test_who_looks_after_a_group_deletes_anybodys_texts(role: api.Role.ValueType) -> None:
    play = Play().given(*GROUP_OF_THREE, send(ARASH, GROUP), set_role(ARASH, CYRUS, role))
    assert kinds(play.when(delete(CYRUS, 1))) == ["message_deleted"]
    assert kinds(play.when(delete(CYRUS, 2))) == ["message_deleted"]


def test_a_deleted_text_can_still_be_answered() -> None:
    play = Play().given(*GROUP_OF_THREE, delete(BAHAR, 1))
    assert kinds(play.when(send(CYRUS, GROUP, reply_to=1))) == ["message_sent"]


@pytest.mark.parametrize(
    ("given", "command", "refused"),
    [
        pytest.param([], delete(ARASH, 1, DIRECT), UNKNOWN, id="no such conversation"),
        pytest.param([send(ARASH)], delete(CYRUS, 1, DIRECT), UNKNOWN, id="between two others"),
        pytest.param(GROUP_OF_THREE, delete(DARYA, 1), UNKNOWN, id="not in the group"),
        pytest.param(GROUP_OF_THREE, delete(DARYA, 9), UNKNOWN, id="nobody outside learns what there is"),
        pytest.param([*GROUP_OF_THREE, remove(ARASH, BAHAR)], delete(BAHAR, 1), UNKNOWN, id="one's own, removed"),
        pytest.param([*GROUP_OF_THREE, leave(BAHAR)], delete(BAHAR, 1), UNKNOWN, id="one's own, left"),
        pytest.param(
            [*GROUP_OF_THREE, leave(BAHAR), add(ARASH, BAHAR)],
            delete(BAHAR, 1),
            NO_MESSAGE,
            id="one's own from a former time",
        ),
        pytest.param(
            [*GROUP_OF_THREE, add(ARASH, DARYA), set_role(ARASH, DARYA, api.ROLE_ADMIN)],
            delete(DARYA, 1),
            NO_MESSAGE,
            id="from before an admin came",
        ),
        pytest.param(GROUP_OF_THREE, delete(BAHAR, 0), NO_MESSAGE, id="before the first"),
        pytest.param(GROUP_OF_THREE, delete(BAHAR, 2), NO_MESSAGE, id="beyond the head"),
        pytest.param([*GROUP_OF_THREE, send(ARASH)], delete(ARASH, 2), NO_MESSAGE, id="of another conversation"),
        pytest.param(GROUP_OF_THREE, delete(CYRUS, 1), TOO_LOW, id="another's, as a plain member"),
        pytest.param([send(ARASH)], delete(BAHAR, 1, DIRECT), TOO_LOW, id="another's, between two"),
        pytest.param([*GROUP_OF_THREE, delete(BAHAR, 1)], delete(CYRUS, 1), TOO_LOW, id="another's, deleted already"),
        pytest.param([post_card(1)], delete(ARASH, 1, DIRECT), CARD, id="one's own card"),
        pytest.param([post_card(1)], delete(BAHAR, 1, DIRECT), TOO_LOW, id="another's card"),
    ],
)
def test_a_deletion_is_refused(given: list, command: object, refused: Refused) -> None:
    play = Play().given(*given)
    before = dict(play.documents)
    assert play.when(command) == refused
    assert play.documents == before


def test_each_block_of_messages_has_its_own_document() -> None:
    play = Play().given(create_group(), *(send(ARASH, GROUP) for _ in range(BLOCK_MESSAGES)))
    play.given(delete(ARASH, BLOCK_MESSAGES - 1), delete(ARASH, BLOCK_MESSAGES))
    assert play.documents[deletions_key(GROUP, 1)] == Deletions((1 << 255).to_bytes(32, "big"))
    assert play.documents[deletions_key(GROUP, BLOCK_MESSAGES)] == Deletions((1).to_bytes(32, "big"))


@given(st.integers(0, 3), st.sets(st.integers(0, 255)), st.integers(-1, 1_100), st.integers(-1, 1_100))
def test_deletions_between_are_counted_as_by_hand(block: int, deleted: set[int], after: int, last: int) -> None:
    bits = sum(1 << n for n in deleted).to_bytes(32, "big")
    by_hand = sum(1 for n in deleted if after < block * BLOCK_MESSAGES + n <= last)
    assert deleted_between(block, bits, after, last) == by_hand
