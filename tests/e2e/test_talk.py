"""Messaging: conversations, groups, history, inboxes."""

from __future__ import annotations

import asyncio

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.demo import Person, Stage
from chapar_client.sdk import MembershipChanged, MessageDeleted, ReadCursorMoved
from tests.e2e.kit import E2E, Status, refused

pytestmark = E2E


async def people(stage: Stage, *names: str) -> list[Person]:
    found = list(await asyncio.gather(*(stage.person(name) for name in names)))
    for person in found:
        await person.read_from_now()
    return found


async def test_two_people_who_start_at_once_share_one_conversation(stage: Stage) -> None:
    one, other = await people(stage, "الف", "ب")
    room = one.with_(other)
    sequences = await asyncio.gather(one.say(room, "سلام"), other.say(room, "درود"))
    assert sorted(sequences) == [1, 2]
    for person in (one, other):
        await person.message(room, 2)
        assert [message.sequence for message in person.messages(room)] == [1, 2]


async def test_a_reply_names_what_it_answers(stage: Stage) -> None:
    one, other = await people(stage, "الف", "ب")
    room = one.with_(other)
    await one.say(room, "می‌آیی؟")
    sequence = await other.say(room, "بله", reply_to=1)
    heard = await one.message(room, sequence)
    assert (heard.text, heard.reply_to_sequence, heard.sender_user_id) == ("بله", 1, other.user_id)


async def test_messages_arrive_live_whole_and_in_order(stage: Stage) -> None:
    one, other = await people(stage, "الف", "ب")
    room = one.with_(other)
    await asyncio.gather(*(one.say(room, f"{n}") for n in range(40)))
    await other.message(room, 40)
    shown = other.messages(room)
    assert [message.sequence for message in shown] == list(range(1, 41))
    assert {message.text for message in shown} == {f"{n}" for n in range(40)}
    told = [message.SerializeToString() async for message in one.client.messaging.history(room)]
    assert told == [message.SerializeToString() for message in shown], "live and history say the same"


async def test_history_pages_both_ways(stage: Stage) -> None:
    one, other = await people(stage, "الف", "ب")
    room = one.with_(other)
    for number in range(1, 8):
        await one.say(room, f"{number}")
    client = other.client.messaging
    first = await client.list_messages(room, page_size=3)
    assert [message.sequence for message in first.messages] == [1, 2, 3]
    second = await client.list_messages(room, from_sequence=first.next_from_sequence, page_size=3)
    assert [message.sequence for message in second.messages] == [4, 5, 6]
    newest = await client.list_messages(room, descending=True, page_size=3)
    assert [message.sequence for message in newest.messages] == [7, 6, 5]
    older = await client.list_messages(room, descending=True, from_sequence=newest.next_from_sequence, page_size=10)
    assert [message.sequence for message in older.messages] == [4, 3, 2, 1]
    assert older.next_from_sequence == 0


async def test_unread_counts_what_others_said_after_the_read_cursor(stage: Stage) -> None:
    one, other = await people(stage, "الف", "ب")
    room = one.with_(other)
    for number in range(1, 6):
        await one.say(room, f"{number}")
    await other.message(room, 5)
    assert (await one.unread(room), await other.unread(room)) == (0, 5)
    await other.client.messaging.mark_read(room, 3)
    assert await other.unread(room) == 2
    await other.client.messaging.mark_read(room, 1)
    assert await other.unread(room) == 2, "backward does nothing"
    await other.until(lambda: ReadCursorMoved(room, 3) in other.updates, "the move of the read cursor")
    await other.say(room, "خواندم")
    await other.message(room, 6)
    assert await other.unread(room) == 0, "one's own message reads what was before it"
    await one.message(room, 6)
    assert await one.unread(room) == 1


async def test_a_deleted_message_is_gone_for_everybody_and_unread_falls(stage: Stage) -> None:
    owner, author, reader = await people(stage, "مالک", "نویسنده", "خواننده")
    room = await owner.client.messaging.create_group("کوه", [author.user_id, reader.user_id])
    for number in range(1, 5):
        await author.say(room, f"{number}", reply_to=1 if number == 2 else 0)
    await reader.message(room, 4)
    await refused(reader.client.messaging.delete_message(room, 1), "REASON_ROLE_TOO_LOW", Status.PERMISSION_DENIED)
    await refused(author.client.messaging.delete_message(room, 5), "REASON_MESSAGE_UNKNOWN", Status.NOT_FOUND)
    await author.client.messaging.delete_message(room, 1)
    await owner.client.messaging.delete_message(room, 3)
    await owner.client.messaging.delete_message(room, 1)
    await reader.until(lambda: MessageDeleted(room, 1, 4) in reader.updates, "the deletion by the author")
    await author.until(lambda: MessageDeleted(room, 3, 5) in author.updates, "the deletion by the owner")
    told = [message async for message in reader.client.messaging.history(room)]
    assert [message.WhichOneof("content") for message in told] == ["deleted", "text", "deleted", "text"]
    assert (told[1].reply_to_sequence, told[1].reply_to_deleted) == (1, True)
    assert [message.text for message in told] == ["", "2", "", "4"]
    assert await reader.unread(room) == 2
    await reader.client.messaging.mark_read(room, 2)
    assert await reader.unread(room) == 1


async def test_a_message_reaches_all_devices_of_both(stage: Stage) -> None:
    phone = stage.new_phone()
    one, tablet = await stage.person("الف", phone=phone), await stage.person("الف", phone=phone)
    other = await stage.person("ب")
    for person in (one, tablet, other):
        await person.read_from_now()
    room = one.with_(other)
    await one.say(room, "به همه")
    for person in (one, tablet, other):
        assert (await person.message(room, 1)).text == "به همه"


async def test_a_group_with_roles_from_its_making_to_its_end(stage: Stage) -> None:
    owner, admin, member, late = await people(stage, "مالک", "مدیر", "عضو", "تازه")
    room = await owner.client.messaging.create_group("خانواده", [admin.user_id, member.user_id])
    await owner.client.messaging.set_member_role(room, admin.user_id, messaging.ROLE_ADMIN)
    await member.say(room, "پیش از او")
    await refused(
        member.client.messaging.add_member(room, late.user_id), "REASON_ROLE_TOO_LOW", Status.PERMISSION_DENIED
    )
    await admin.client.messaging.add_member(room, late.user_id)
    await member.say(room, "پس از او")
    assert (await late.message(room, 2)).text == "پس از او"
    assert [message.sequence for message in late.messages(room)] == [2], "who joins late sees nothing earlier"
    told = [message.sequence async for message in late.client.messaging.history(room)]
    assert told == [2]
    roles = {found.user_id: found.role async for found in late.client.messaging.members(room)}
    assert roles == {
        owner.user_id: messaging.ROLE_OWNER,
        admin.user_id: messaging.ROLE_ADMIN,
        member.user_id: messaging.ROLE_MEMBER,
        late.user_id: messaging.ROLE_MEMBER,
    }
    await refused(owner.client.messaging.leave_group(room), "REASON_OWNER_MUST_HAND_OVER", Status.FAILED_PRECONDITION)
    await owner.client.messaging.set_member_role(room, admin.user_id, messaging.ROLE_OWNER)
    assert (await owner.client.messaging.get_conversation(room)).role == messaging.ROLE_ADMIN
    await owner.client.messaging.leave_group(room)
    seen = await admin.client.messaging.get_conversation(room)
    assert (seen.role, seen.member_count, seen.title) == (messaging.ROLE_OWNER, 3, "خانواده")


async def test_who_is_removed_sees_nothing_more_and_who_comes_back_nothing_between(stage: Stage) -> None:
    owner, member = await people(stage, "مالک", "عضو")
    room = await owner.client.messaging.create_group("کوه", [member.user_id])
    await owner.say(room, "یک")
    await member.message(room, 1)
    await owner.client.messaging.remove_member(room, member.user_id)
    await member.until(
        lambda: any(isinstance(u, MembershipChanged) and not u.member for u in member.updates), "the removal"
    )
    await owner.say(room, "دو")
    assert await member.row(room) is None
    for call in (
        member.client.messaging.list_messages(room),
        member.say(room, "هنوز؟"),
        member.client.messaging.get_conversation(room),
    ):
        await refused(call, "REASON_CONVERSATION_UNKNOWN", Status.NOT_FOUND)
    await owner.client.messaging.add_member(room, member.user_id)
    await owner.say(room, "سه")
    await member.message(room, 3)
    assert [message.sequence for message in member.messages(room)] == [1, 3]
    assert await member.unread(room) == 1
