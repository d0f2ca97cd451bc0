"""The service on the real owners, projectors, relays and reactors, over ports in memory."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing

from chapar.messaging.v1 import messaging_pb2 as api
from chapar_sourcing.domain import Refused
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.requests import make_request_id

from .office import ALI, MINA, REZA, direct, group_of
from .served import BOUND_SECONDS, PARTITIONS, Process, World, eventually, running

TALK = direct(ALI, MINA)
GROUP = group_of(ALI)


async def in_inbox(process: Process, user_id: str, expected: dict[str, tuple[int, int]]) -> None:
    async def holds() -> bool:
        return await process.inbox(user_id) == expected

    await eventually(holds)


async def test_a_message_reaches_history_and_both_inboxes() -> None:
    async with running(World()) as process:
        assert await process.send(ALI, TALK, "سلام") == 1
        [message] = await process.history(MINA, TALK)
        assert (message.text, message.sender_user_id) == ("سلام", ALI)
        await in_inbox(process, MINA, {TALK: (1, 1)})
        await in_inbox(process, ALI, {TALK: (1, 0)})


async def test_first_texts_from_both_ends_at_once_make_one_conversation() -> None:
    async with running(World()) as process:
        numbers = await asyncio.gather(*(process.send(user_id, TALK, "x") for user_id in (ALI, MINA) * 5))
        assert sorted(numbers) == list(range(1, 11))
        answer = await process.query(ALI, "ListMembers", api.ListMembersRequest(conversation_id=TALK))
        assert isinstance(answer, api.ListMembersResponse)
        assert [member.user_id for member in answer.members] == sorted([ALI, MINA])


async def test_the_same_request_gives_the_same_message_also_after_a_crash() -> None:
    world = World()
    request = api.SendMessageRequest(conversation_id=TALK, text="once")
    async with running(world) as process:
        request_id = make_request_id(process.host.now_ms, os.urandom(10))
        first, replayed = await process.command(ALI, "SendMessage", request, request_id)
        assert not replayed
        assert await process.command(ALI, "SendMessage", request, request_id) == (first, True)
    async with running(world) as process:
        assert await process.command(ALI, "SendMessage", request, request_id) == (first, True)
        assert len(await process.history(MINA, TALK)) == 1


async def test_a_live_inbox_shows_what_happens_in_order() -> None:
    async with running(World()) as process, asyncio.timeout(BOUND_SECONDS):
        await process.send(ALI, TALK, "before")
        await in_inbox(process, MINA, {TALK: (1, 1)})
        async with aclosing(process.watch(MINA)) as frames:
            snapshot = await anext(frames)
            assert isinstance(snapshot, api.InboxSnapshot)
            assert [(row.conversation_id, row.unread_count) for row in snapshot.rows] == [(TALK, 1)]
            await process.send(ALI, TALK, "after")
            event = await anext(frames)
            assert isinstance(event, api.InboxEvent)
            assert (event.message.sequence, event.message.text) == (2, "after")
            await process.command(MINA, "MarkRead", api.MarkReadRequest(conversation_id=TALK, sequence=2))
            event = await anext(frames)
            assert isinstance(event, api.InboxEvent)
            assert event.read_cursor == api.ReadCursorMove(conversation_id=TALK, read_sequence=2)
        await in_inbox(process, MINA, {TALK: (2, 0)})


async def test_a_removed_member_is_told_and_hears_no_more() -> None:
    async with running(World()) as process, asyncio.timeout(BOUND_SECONDS):
        request = api.CreateGroupRequest(conversation_id=GROUP, title="ما", member_user_ids=[MINA, REZA])
        await process.command(ALI, "CreateGroup", request)
        await in_inbox(process, MINA, {GROUP: (0, 0)})
        async with aclosing(process.watch(MINA)) as frames:
            await anext(frames)
            await process.send(ALI, GROUP, "one")
            await process.command(ALI, "RemoveMember", api.RemoveMemberRequest(conversation_id=GROUP, user_id=MINA))
            await process.send(ALI, GROUP, "two")
            await process.send(ALI, TALK, "three")
            shown = [await anext(frames) for _ in range(4)]
        await in_inbox(process, REZA, {GROUP: (2, 2)})
        events = [event for event in shown if isinstance(event, api.InboxEvent)]
        of_group = [
            event for event in events if GROUP in (event.message.conversation_id, event.membership.conversation_id)
        ]
        assert [event.WhichOneof("kind") for event in of_group] == ["message", "membership"]
        assert not of_group[1].membership.member
        assert (await process.inbox(MINA)).keys() == {TALK}
        unknown = Refused("REASON_CONVERSATION_UNKNOWN")
        assert await process.query(MINA, "ListMessages", api.ListMessagesRequest(conversation_id=GROUP)) == unknown


async def test_who_comes_back_sees_only_what_comes_after() -> None:
    async with running(World()) as process:
        request = api.CreateGroupRequest(conversation_id=GROUP, title="ما", member_user_ids=[MINA])
        await process.command(ALI, "CreateGroup", request)
        await process.send(ALI, GROUP, "one")
        await process.command(MINA, "LeaveGroup", api.LeaveGroupRequest(conversation_id=GROUP))
        await process.send(ALI, GROUP, "two")
        await process.command(ALI, "AddMember", api.AddMemberRequest(conversation_id=GROUP, user_id=MINA))
        await process.send(ALI, GROUP, "three")
        assert [message.text for message in await process.history(MINA, GROUP)] == ["three"]
        await in_inbox(process, MINA, {GROUP: (3, 1)})


async def test_long_history_is_whole_across_memory_and_store_and_a_crash() -> None:
    world = World()
    async with running(world) as process:
        for start in range(0, 120, 30):
            await asyncio.gather(*(process.send(ALI, TALK, f"{n}") for n in range(start, start + 30)))
            assert len(await process.history(MINA, TALK, page_size=7)) == start + 30
        await in_inbox(process, MINA, {TALK: (120, 120)})
    async with running(world) as process:
        messages = await process.history(MINA, TALK, page_size=50)
        assert [message.sequence for message in messages] == list(range(1, 121))
        await process.send(MINA, TALK, "and on")
        await in_inbox(process, MINA, {TALK: (121, 0)})
        await in_inbox(process, ALI, {TALK: (121, 1)})


async def cards(process: Process, conversation_id: str) -> list[str]:
    answer = await process.query(ALI, "GetConversation", api.GetConversationRequest(conversation_id=conversation_id))
    if isinstance(answer, Refused):
        return []
    return [message.payment_card.transfer_id for message in await process.history(ALI, conversation_id)]


async def test_each_payment_gets_one_card_however_often_it_is_told_and_whoever_dies() -> None:
    world = World()
    source = partition_of(ALI, PARTITIONS)
    pairs = [(ALI, MINA), (MINA, ALI), (ALI, REZA), (ALI, MINA), (REZA, ALI), (ALI, MINA)]
    for number, (payer, payee) in enumerate(pairs, start=1):
        await world.pay(source, number, number - 1 or None, payer, payee)

    async with running(world) as process:

        async def any_there() -> bool:
            return bool(await cards(process, TALK))

        await eventually(any_there)
    for number, (payer, payee) in enumerate(pairs, start=1):
        await world.pay(source, number, number - 1 or None, payer, payee)
    await world.pay(source, 7, 6, MINA, ALI)
    async with running(world) as process:

        async def all_there() -> bool:
            return await cards(process, TALK) == ["t1", "t2", "t4", "t6", "t7"]

        await eventually(all_there)
        assert await cards(process, direct(ALI, REZA)) == ["t3", "t5"]
        await in_inbox(process, MINA, {TALK: (5, 0)})
        await in_inbox(process, ALI, {TALK: (5, 1), direct(ALI, REZA): (2, 1)})


async def test_others_are_told_of_memberships_once_each() -> None:
    world = World()
    async with running(world) as process:
        await process.send(ALI, TALK, "x")
        request = api.CreateGroupRequest(conversation_id=GROUP, title="ما", member_user_ids=[MINA])
        await process.command(ALI, "CreateGroup", request)
        await process.command(MINA, "LeaveGroup", api.LeaveGroupRequest(conversation_id=GROUP))

        async def told() -> bool:
            facts = {(e.conversation_id, e.user_id, e.member, e.change_sequence) for e in world.published()}
            lower, higher = sorted((ALI, MINA))
            return facts == {
                (TALK, lower, True, 1),
                (TALK, higher, True, 2),
                (GROUP, ALI, True, 1),
                (GROUP, MINA, True, 2),
                (GROUP, MINA, False, 3),
            }

        await eventually(told)
