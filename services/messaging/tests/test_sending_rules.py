from __future__ import annotations

import pytest

from chapar_messaging.domain.messages.documents import StoredMessage, message_key
from chapar_sourcing.domain import Refused

from .play import ARASH, BAHAR, CYRUS, DARYA, DIRECT, GROUP, Play, add, create_group, kinds, leave, remove, send

UNKNOWN = Refused("REASON_CONVERSATION_UNKNOWN")
NO_TARGET = Refused("REASON_REPLY_TARGET_UNKNOWN")


def test_the_first_text_opens_a_direct_conversation_in_the_same_entry() -> None:
    play = Play()
    assert kinds(play.when(send(BAHAR))) == ["conversation_opened", "member_added", "member_added", "message_sent"]
    assert sorted(play.members(DIRECT)) == [ARASH, BAHAR]
    assert (play.head(DIRECT).message_sequence, play.head(DIRECT).change_sequence) == (1, 2)


def test_first_texts_from_both_ends_give_one_conversation() -> None:
    play = Play()
    play.when(send(ARASH, number=1))
    assert kinds(play.when(send(BAHAR, number=2))) == ["message_sent"]
    assert play.head(DIRECT).member_count == 2
    assert play.head(DIRECT).message_sequence == 2


def test_an_event_says_after_which_change_its_message_was_sent() -> None:
    play = Play()
    opened = play.when(send(ARASH))
    assert not isinstance(opened, Refused)
    assert opened[-1].message_sent.change_sequence == play.head(DIRECT).change_sequence
    play.given(create_group(others=[BAHAR]), add(ARASH, CYRUS))
    sent = play.when(send(ARASH, GROUP))
    assert not isinstance(sent, Refused)
    assert sent[-1].message_sent.change_sequence == play.head(GROUP).change_sequence == 3


def test_a_message_is_stored_with_all_that_history_shows() -> None:
    play = Play().given(send(ARASH, number=1), send(BAHAR, reply_to=1, number=2))
    stored = play.documents[message_key(DIRECT, 2)]
    assert isinstance(stored, StoredMessage)
    assert stored.sender_user_id == BAHAR
    assert stored.reply_to_sequence == 1
    assert stored.message_id == (2).to_bytes(16, "big")
    assert stored.create_time_ms == play.now_ms


@pytest.mark.parametrize(
    ("given", "command", "refused"),
    [
        pytest.param([], send(CYRUS), UNKNOWN, id="a stranger opens nothing between two others"),
        pytest.param([send(ARASH)], send(CYRUS), UNKNOWN, id="a stranger does not speak between two others"),
        pytest.param([], send(CYRUS, reply_to=1), UNKNOWN, id="being unknown comes before the reply"),
        pytest.param([], send(ARASH, GROUP), UNKNOWN, id="no such group"),
        pytest.param([create_group()], send(BAHAR, GROUP), UNKNOWN, id="not in the group"),
        pytest.param([create_group(others=[BAHAR]), leave(BAHAR)], send(BAHAR, GROUP), UNKNOWN, id="left"),
        pytest.param([create_group(others=[BAHAR]), remove(ARASH, BAHAR)], send(BAHAR, GROUP), UNKNOWN, id="removed"),
        pytest.param([], send(ARASH, reply_to=1), NO_TARGET, id="a first text answers nothing"),
        pytest.param([send(ARASH)], send(BAHAR, reply_to=2), NO_TARGET, id="no such message"),
        pytest.param([send(ARASH)], send(BAHAR, reply_to=-1), NO_TARGET, id="no message has such a number"),
        pytest.param(
            [create_group(), send(ARASH, GROUP), add(ARASH, BAHAR)],
            send(BAHAR, GROUP, reply_to=1),
            NO_TARGET,
            id="from before they came",
        ),
        pytest.param(
            [create_group(others=[BAHAR]), send(BAHAR, GROUP), leave(BAHAR), add(ARASH, BAHAR)],
            send(BAHAR, GROUP, reply_to=1),
            NO_TARGET,
            id="from their former time",
        ),
    ],
)
def test_a_text_is_refused(given: list, command: object, refused: Refused) -> None:
    play = Play().given(*given)
    before = dict(play.documents)
    assert play.when(command) == refused
    assert play.documents == before


def test_members_answer_what_they_see() -> None:
    play = Play().given(create_group(others=[BAHAR, DARYA]), send(ARASH, GROUP), send(BAHAR, GROUP, reply_to=1))
    assert kinds(play.when(send(DARYA, GROUP, reply_to=2))) == ["message_sent"]
