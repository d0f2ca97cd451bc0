from __future__ import annotations

import pytest

from chapar.messaging.v1 import messaging_pb2 as api
from chapar_messaging.reactors.fan_out import FanOut
from chapar_sourcing.domain import Refused

from .office import ALI, MINA, REZA, Office, direct, group_of

TALK = direct(ALI, MINA)
GROUP = group_of(ALI)


async def busy() -> Office:
    """Ali wrote twice to Mina, who has not answered, and once to a group of all three."""
    office = Office()
    await office.send(ALI, TALK, "یک")
    await office.send(ALI, TALK, "دو", reply_to=1)
    request = api.CreateGroupRequest(conversation_id=GROUP, title="ما", member_user_ids=[MINA, REZA])
    await office.must(ALI, "CreateGroup", request)
    await office.send(ALI, GROUP, "سه")
    return office


async def delete(office: Office, user_id: str, sequence: int, conversation_id: str = TALK) -> None:
    request = api.DeleteMessageRequest(conversation_id=conversation_id, sequence=sequence)
    assert await office.must(user_id, "DeleteMessage", request) == api.DeleteMessageResponse()


async def test_history_shows_that_a_message_was_deleted_and_what_answered_it() -> None:
    office = await busy()
    before = await office.history(MINA, TALK)
    await delete(office, ALI, 1)
    answer, deleted = await office.history(MINA, TALK)
    assert deleted == api.Message(
        conversation_id=TALK, sequence=1, sender_user_id=ALI, create_time_ms=before[1].create_time_ms, deleted=True
    )
    assert (answer.text, answer.reply_to_sequence, answer.reply_to_deleted) == ("دو", 1, True)
    await delete(office, ALI, 2)
    assert [message.deleted for message in await office.history(MINA, TALK)] == [True, True]
    assert (await office.history(MINA, TALK))[0].reply_to_sequence == 0


async def test_unread_falls_with_a_deletion_and_others_are_shown_it() -> None:
    office = await busy()
    office.hinted.clear()
    await delete(office, ALI, 1)
    rows = {row.conversation_id: row for row in await office.inbox(MINA)}
    assert (rows[TALK].head_sequence, rows[TALK].unread_count, rows[TALK].change_sequence) == (2, 1, 3)
    deletion = api.InboxEvent(deletion=api.MessageDeletion(conversation_id=TALK, sequence=1, change_sequence=3))
    assert sorted(office.hinted, key=lambda hint: hint[0]) == [(ALI, deletion), (MINA, deletion)]


async def test_deleting_what_is_read_leaves_unread_as_it_is() -> None:
    office = await busy()
    await office.must(MINA, "MarkRead", api.MarkReadRequest(conversation_id=TALK, sequence=1))
    await delete(office, ALI, 1)
    assert {row.unread_count for row in await office.inbox(MINA)} == {1}


async def test_an_old_hint_sent_again_does_not_bring_a_deleted_text_back() -> None:
    office = await busy()
    await delete(office, ALI, 1)
    event, source = office.play.events[3]
    assert event.message_sent.sequence == 1
    advances = await FanOut(office.sealer).react(event, source, office.view)
    shown = [api.InboxEvent.FromString(advance.hint).message for advance in advances]
    assert [(message.sequence, message.WhichOneof("content")) for message in shown] == [(1, "deleted")] * 2


async def test_members_are_not_read_anew_after_a_deletion() -> None:
    office = await busy()
    await delete(office, ALI, 1, GROUP)
    scans = office.view.scans
    await office.send(ALI, GROUP, "چهار")
    assert office.view.scans == scans


@pytest.mark.parametrize(
    ("user_id", "request_", "reason"),
    [
        (ALI, api.DeleteMessageRequest(conversation_id="x", sequence=1), "CONVERSATION_ID_INVALID"),
        (ALI, api.DeleteMessageRequest(conversation_id=TALK), "SEQUENCE_INVALID"),
        (ALI, api.DeleteMessageRequest(conversation_id=TALK, sequence=-1), "SEQUENCE_INVALID"),
        (ALI, api.DeleteMessageRequest(conversation_id=TALK, sequence=2**62), "SEQUENCE_INVALID"),
        (REZA, api.DeleteMessageRequest(conversation_id=TALK, sequence=1), "CONVERSATION_UNKNOWN"),
        (ALI, api.DeleteMessageRequest(conversation_id=TALK, sequence=3), "MESSAGE_UNKNOWN"),
        (MINA, api.DeleteMessageRequest(conversation_id=TALK, sequence=1), "ROLE_TOO_LOW"),
    ],
)
async def test_deleting_is_refused(user_id: str, request_: api.DeleteMessageRequest, reason: str) -> None:
    office = await busy()
    events = len(office.play.events)
    assert await office.call(user_id, "DeleteMessage", request_) == Refused(f"REASON_{reason}")
    assert len(office.play.events) == events
