from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chapar_messaging.domain.messages.documents import Card, StoredMessage, message_key
from chapar_sourcing.creations import HOLE_REASON
from chapar_sourcing.domain import Refused

from .play import ARASH, BAHAR, CYRUS, DIRECT, Play, kinds, post_card, send


def cards(play: Play) -> list[str]:
    return [
        event.payment_card_posted.transfer_id
        for event, _ in play.events
        if event.WhichOneof("kind") == "payment_card_posted"
    ]


def test_a_card_opens_the_conversation_when_nobody_has() -> None:
    play = Play()
    decision = play.when(post_card(7, payer=BAHAR, payee=ARASH))
    assert kinds(decision) == ["conversation_opened", "member_added", "member_added", "payment_card_posted"]
    stored = play.documents[message_key(DIRECT, 1)]
    assert isinstance(stored, StoredMessage)
    assert (stored.sender_user_id, stored.card) == (BAHAR, Card("t7", ARASH, 50_000))


def test_a_card_takes_the_next_number_of_a_conversation() -> None:
    play = Play().given(send(ARASH), send(BAHAR))
    assert kinds(play.when(post_card(7))) == ["payment_card_posted"]
    assert play.head(DIRECT).message_sequence == 3


def test_a_repeated_card_is_accepted_and_changes_nothing() -> None:
    play = Play().given(post_card(7), post_card(9, 7))
    before = dict(play.documents)
    assert play.when(post_card(7)) == []
    assert play.when(post_card(9, 7)) == []
    assert play.documents == before


def test_a_card_after_a_hole_is_refused() -> None:
    play = Play().given(post_card(7))
    assert play.when(post_card(11, 9)) == Refused(HOLE_REASON)
    assert cards(play) == ["t7"]


def test_sources_have_marks_of_their_own() -> None:
    play = Play().given(post_card(7), post_card(7, partition=1), post_card(8, 7, payee=CYRUS))
    assert cards(play) == ["t7", "t7", "t8"]


@given(st.lists(st.integers(0, 7), max_size=60))
def test_each_card_is_posted_once_and_in_order_however_often_it_is_sent(tries: list[int]) -> None:
    play = Play()
    chain = [post_card(0), *(post_card(offset, offset - 1) for offset in range(1, 8))]
    next_card = 0
    for offset in tries:
        play.when(chain[offset])
        next_card += offset == next_card
    assert cards(play) == [f"t{offset}" for offset in range(next_card)]
