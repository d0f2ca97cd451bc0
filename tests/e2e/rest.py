"""What is there once all has come to rest, asked for through the public API, for the checker."""

from __future__ import annotations

import asyncio
import time

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.demo import Person, eventually
from tests.e2e.checker import Found, InboxLine, Line, Shown, problems
from tests.e2e.load import Arena

SETTLE_S_MAX = 180.0
OFFLINE_S_MAX = 60.0


async def problems_at_rest(arena: Arena) -> list[str]:
    """Everything that is not as it must be, once it has come to rest."""
    told = await _settled(arena)
    found = problems(arena.recorder, await _found(arena))
    for person in arena.people:
        pending, due = len(await person.client.pending()), arena.given_up.get(person.name, 0)
        if pending != due:
            found.append(f"{person.name} has {pending} commands pending, {due} were given up")
    return told + found + await _stuck_online(arena)


async def _found(arena: Arena) -> Found:
    rooms = {room: await _history(members[0], room) for room, members in arena.rooms.items()}
    inboxes, live = {}, {}
    for person in arena.people:
        async for row in person.client.messaging.inbox_rows():
            line = InboxLine(row.head_sequence, row.read_sequence, row.unread_count)
            inboxes[person.user_id, row.conversation_id] = line
    for room, members in arena.rooms.items():
        for member in members:
            live[member.user_id, room] = [_shown(message) for message in member.messages(room)]
    return Found(
        rooms,
        members={room: [member.user_id for member in members] for room, members in arena.rooms.items()},
        statements={person.user_id: await _statement(person) for person in arena.people},
        inboxes=inboxes,
        live=live,
        names={person.user_id: (await person.client.identity.get_profile()).name for person in arena.people},
    )


async def _settled(arena: Arena) -> list[str]:
    """Waits until money, cards and inboxes have caught up with the logs; says what has not."""
    seen = ["nothing was answered"]

    async def caught_up() -> bool:
        began_s = time.monotonic()
        late = await _late(arena)
        seen[:] = [f"{late}, as seen in {time.monotonic() - began_s:.0f} s"]
        return not late

    try:
        await eventually(caught_up, "rest", timeout_s=SETTLE_S_MAX)
    except TimeoutError as error:
        return [f"{error}: {seen[0]}"]
    return []


async def _late(arena: Arena) -> str:
    """What has not caught up; empty where all has."""
    statements = await asyncio.gather(*(_statement(person) for person in arena.people))
    total = sum(line.rials for lines in statements for line in lines)
    if missing := sum(line.rials for lines in statements for line in lines if not line.tag) - total:
        return f"{missing} rials are on their way"
    due = sum(1 for lines in statements for line in lines if line.tag and line.rials < 0)
    cards = 0
    for room, members in arena.rooms.items():
        told = await _history(members[0], room)
        cards += sum(message.card for message in told)
        for member in members:
            if (shown := len(member.messages(room))) < len(told):
                return f"{member.name} was shown {shown} of {len(told)} messages of {room}"
            if (head := await _head(member, room)) < len(told):
                return f"the inbox of {member.name} has {head} of {len(told)} messages of {room}"
    return f"{due - cards} of {due} cards are missing" if cards != due else ""


async def _stuck_online(arena: Arena) -> list[str]:
    """Everybody but one leaves: the one who stays must see the neighbour go, and come back."""
    watcher, neighbour, *others = arena.people
    problems_found = []
    await watcher.watch(neighbour)
    await watcher.presence_of(neighbour, online=True, timeout_s=OFFLINE_S_MAX)
    await asyncio.gather(*(person.stop_reading() for person in (neighbour, *others)))
    try:
        await watcher.presence_of(neighbour, online=False, timeout_s=OFFLINE_S_MAX)
    except TimeoutError as error:
        problems_found.append(f"stuck online: {error}")
    for person in (neighbour, *others):
        person.read()
    try:
        await watcher.presence_of(neighbour, online=True, timeout_s=OFFLINE_S_MAX)
    except TimeoutError as error:
        problems_found.append(f"stuck offline: {error}")
    return problems_found


async def _head(person: Person, room: str) -> int:
    row = await person.row(room)
    return 0 if row is None else row.head_sequence


def _shown(message: messaging.Message) -> Shown:
    card = message.HasField("payment_card")
    tag = message.payment_card.transfer_id if card else message.text
    return Shown(message.sequence, message.sender_user_id, tag, card)


async def _history(person: Person, room: str) -> list[Shown]:
    return [_shown(message) async for message in person.client.messaging.history(room)]


async def _statement(person: Person) -> list[Line]:
    lines = [line async for line in person.client.payments.statement()]
    return [Line(one.transfer_id, one.memo, one.amount_rials, one.balance_rials) for one in reversed(lines)]
