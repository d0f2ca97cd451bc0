from __future__ import annotations

import pytest

from chapar.messaging.v1 import messaging_pb2 as api
from chapar_messaging.domain.messages.documents import message_key
from chapar_messaging.queries.history import HistoryDamaged
from chapar_sourcing.domain import Refused

from .office import ALI, INVENTED, MINA, REZA, Office, direct, group_of
from .play import post_card

TALK = direct(ALI, MINA)
HALF_SPACE = "می\u200cخواهم 👨‍👩‍👧‍👦"


async def test_a_text_comes_back_as_it_was_sent_and_is_sealed_in_between() -> None:
    office = Office()
    sent = await office.send(ALI, TALK, HALF_SPACE)
    assert (sent.sequence, sent.create_time_ms) == (1, office.play.now_ms)
    [message] = await office.history(MINA, TALK)
    assert message == api.Message(
        conversation_id=TALK, sequence=1, sender_user_id=ALI, create_time_ms=sent.create_time_ms, text=HALF_SPACE
    )
    assert all(HALF_SPACE.encode() not in event.SerializeToString() for event, _ in office.play.events)


async def test_both_members_are_shown_a_message_as_it_happens() -> None:
    office = Office()
    await office.send(ALI, TALK, "سلام")
    [shown] = await office.history(ALI, TALK)
    messages = {user_id: event.message for user_id, event in office.hinted if event.HasField("message")}
    assert messages == {ALI: shown, MINA: shown}


async def test_a_text_whose_key_was_destroyed_is_shown_as_erased() -> None:
    office = Office()
    await office.send(ALI, TALK, "secret")
    await office.send(MINA, TALK, "kept")
    del office.keys.rows[next(place for place in office.keys.rows if place[0] == ALI)]
    later = Office(office.keys, office.play)
    newest, oldest = await later.history(MINA, TALK)
    assert newest.text == "kept"
    assert (oldest.WhichOneof("content"), oldest.erased) == ("erased", True)


async def test_a_card_is_shown_to_both() -> None:
    office = Office()
    office.play.given(post_card(1, payer=ALI, payee=MINA))
    [message] = await office.history(MINA, TALK)
    assert message.sender_user_id == ALI
    assert message.payment_card == api.PaymentCard(
        transfer_id="t1", payer_user_id=ALI, payee_user_id=MINA, amount_rials=50_000
    )


@pytest.mark.parametrize(
    ("user_id", "request_", "reason"),
    [
        (ALI, {"conversation_id": ""}, "CONVERSATION_ID_INVALID"),
        (ALI, {"conversation_id": f"d.{ALI}.{ALI}"}, "CONVERSATION_ID_INVALID"),
        (ALI, {"conversation_id": f"{TALK}\0"}, "CONVERSATION_ID_INVALID"),
        (REZA, {"conversation_id": TALK, "text": ""}, "CONVERSATION_UNKNOWN"),
        (ALI, {"conversation_id": direct(ALI, INVENTED), "text": ""}, "USER_UNKNOWN"),
        (ALI, {"conversation_id": TALK, "text": "\u200c"}, "TEXT_EMPTY"),
        (ALI, {"conversation_id": TALK, "text": "x" * 4_097}, "TEXT_TOO_LONG"),
        (ALI, {"conversation_id": TALK, "text": "\0"}, "TEXT_INVALID"),
        (ALI, {"conversation_id": TALK, "text": "x", "reply_to_sequence": -1}, "SEQUENCE_INVALID"),
        (ALI, {"conversation_id": TALK, "text": "x", "reply_to_sequence": 2**62}, "SEQUENCE_INVALID"),
        (ALI, {"conversation_id": TALK, "text": "x", "reply_to_sequence": 9}, "REPLY_TARGET_UNKNOWN"),
        (ALI, {"conversation_id": group_of(MINA), "text": "x"}, "CONVERSATION_UNKNOWN"),
    ],
)
async def test_sending_is_refused_and_changes_nothing(user_id: str, request_: dict[str, object], reason: str) -> None:
    office = Office()
    refused = await office.call(user_id, "SendMessage", api.SendMessageRequest(**request_))
    assert refused == Refused(f"REASON_{reason}")
    assert office.play.events == []


@pytest.mark.parametrize(
    ("request_", "sequences", "next_"),
    [
        ({"descending": True, "page_size": 3}, [7, 6, 5], 5),
        ({"descending": True, "page_size": 3, "from_sequence": 5}, [4, 3], 0),
        ({"descending": True, "page_size": 2, "from_sequence": 5}, [4, 3], 0),
        ({"descending": True, "from_sequence": 3}, [], 0),
        ({"descending": True, "from_sequence": 99}, [7, 6, 5, 4, 3], 0),
        ({"page_size": 3}, [3, 4, 5], 5),
        ({"page_size": 3, "from_sequence": 5}, [6, 7], 0),
        ({"page_size": 2, "from_sequence": 5}, [6, 7], 0),
        ({"from_sequence": 7}, [], 0),
        ({"from_sequence": 99}, [], 0),
    ],
)
async def test_history_pages_both_ways_within_what_is_visible(
    request_: dict[str, object], sequences: list[int], next_: int
) -> None:
    office, group = Office(), group_of(ALI)
    await office.must(ALI, "CreateGroup", api.CreateGroupRequest(conversation_id=group, title="ما"))
    for number in (1, 2):
        await office.send(ALI, group, f"before {number}")
    await office.must(ALI, "AddMember", api.AddMemberRequest(conversation_id=group, user_id=MINA))
    for number in range(3, 8):
        await office.send(ALI, group, f"after {number}")
    page = await office.must(MINA, "ListMessages", api.ListMessagesRequest(conversation_id=group, **request_))
    assert isinstance(page, api.ListMessagesResponse)
    assert [message.sequence for message in page.messages] == sequences
    assert page.next_from_sequence == next_


@pytest.mark.parametrize("descending", [True, False])
async def test_pages_of_long_texts_are_shorter_and_still_whole(descending: bool) -> None:
    office, seen, following = Office(), [], 0
    for number in range(1, 21):
        await office.send(ALI, TALK, f"{number}" + "e\u0301" * 4_000 + "\u0301" * 8_000)
    while True:
        request = api.ListMessagesRequest(
            conversation_id=TALK, page_size=20, from_sequence=following, descending=descending
        )
        page = await office.must(MINA, "ListMessages", request)
        assert isinstance(page, api.ListMessagesResponse)
        assert 0 < page.ByteSize() < 256 * 1024
        seen += [message.sequence for message in page.messages]
        following = page.next_from_sequence
        if not following:
            break
    assert seen == sorted(range(1, 21), reverse=descending)


async def test_a_hole_in_history_is_an_error_and_never_a_gap() -> None:
    office = Office()
    for text in "abc":
        await office.send(ALI, TALK, text)
    del office.play.documents[message_key(TALK, 2)]
    with pytest.raises(HistoryDamaged):
        await office.history(MINA, TALK)


@pytest.mark.parametrize(
    ("user_id", "request_", "reason"),
    [
        (ALI, {"conversation_id": TALK, "page_size": 201}, "PAGE_INVALID"),
        (ALI, {"conversation_id": TALK, "page_size": -1}, "PAGE_INVALID"),
        (ALI, {"conversation_id": TALK, "from_sequence": -1}, "SEQUENCE_INVALID"),
        (ALI, {"conversation_id": "x"}, "CONVERSATION_ID_INVALID"),
        (REZA, {"conversation_id": TALK}, "CONVERSATION_UNKNOWN"),
        (ALI, {"conversation_id": direct(ALI, REZA)}, "CONVERSATION_UNKNOWN"),
    ],
)
async def test_history_is_refused(user_id: str, request_: dict[str, object], reason: str) -> None:
    office = Office()
    await office.send(ALI, TALK, "x")
    refused = await office.call(user_id, "ListMessages", api.ListMessagesRequest(**request_))
    assert refused == Refused(f"REASON_{reason}")
