"""People who do a little of everything, evenly and for as long as somebody looks."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar.payments.v1 import payments_pb2 as payments
from chapar_client.demo import Person, Stage
from chapar_client.sdk import Refused

PEOPLE = 4
PAUSE_S = 0.3
"""Between two things that somebody does."""
GUEST_PAUSE_S = 3.0
CASH_IN_RIALS = 10_000_000


class Crowd:
    """Four people with a group and money."""

    def __init__(self, stage: Stage, people: Sequence[Person], group: str) -> None:
        self._stage = stage
        self._people = people
        self._group = group
        self._numbers = itertools.count(1)
        self.done: Counter[str] = Counter()
        """How often each thing was done."""

    @classmethod
    async def open(cls, stage: Stage) -> Crowd:
        """Signs everybody in."""
        people = await asyncio.gather(*(stage.person(f"p{number}") for number in range(PEOPLE)))
        for person in people:
            await person.read_from_now()
            await stage.cash_in(person, CASH_IN_RIALS)
        group = await people[0].client.messaging.create_group("همه", [person.user_id for person in people[1:]])
        crowd = cls(stage, people, group)
        for one, other in crowd._pairs:
            await crowd._talk(one, one.with_(other))
            await one.watch(other)
        return crowd

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Everybody is busy while the block runs. What fails, fails here."""
        ending = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for one, other in self._pairs:
                for step in (self._meet, self._pay, self._look):
                    tasks.create_task(_until(ending, partial(step, one, other), PAUSE_S), name=f"{one.name} {step}")
            tasks.create_task(_until(ending, self._visit, GUEST_PAUSE_S), name="guests")
            try:
                yield
            finally:
                ending.set()

    @property
    def _pairs(self) -> Sequence[tuple[Person, Person]]:
        return [*itertools.pairwise([*self._people, self._people[0]])]

    async def _meet(self, one: Person, other: Person) -> None:
        sequence = await self._talk(one, one.with_(other))
        await self._talk(one, self._group)
        await other.client.messaging.mark_read(one.with_(other), sequence)
        self.done["read"] += 1

    async def _talk(self, person: Person, room: str) -> int:
        sent = await person.client.messaging.send_message(room, f"پیام {next(self._numbers)}")
        self.done["sent"] += 1
        return int(sent.sequence)

    async def _pay(self, one: Person, other: Person) -> None:
        await one.client.payments.transfer(other.user_id, 1_000, memo="چای")
        self.done["paid"] += 1
        try:
            await one.client.payments.transfer(other.user_id, 1_000 * CASH_IN_RIALS, memo="همه")
        except Refused:
            self.done["refused"] += 1

    async def _look(self, one: Person, other: Person) -> None:
        """At wallet, statement, inbox and room."""
        room = one.with_(other)
        await one.client.call(payments.GetWalletRequest(), payments.GetWalletResponse)
        await one.client.call(payments.ListStatementLinesRequest(page_size=5), payments.ListStatementLinesResponse)
        await one.client.call(messaging.ListInboxRequest(page_size=5), messaging.ListInboxResponse)
        newest = messaging.ListMessagesRequest(conversation_id=room, descending=True, page_size=5)
        await one.client.call(newest, messaging.ListMessagesResponse)
        await one.client.call(messaging.GetConversationRequest(conversation_id=room), messaging.GetConversationResponse)
        self.done["looked"] += 1

    async def _visit(self) -> None:
        """Somebody new signs in, takes a name, reads, and stops."""
        guest = await self._stage.person(f"guest {next(self._numbers)}")
        await guest.read_from_now()
        await guest.stop_reading()
        self.done["visited"] += 1


async def _until(ending: asyncio.Event, step: Callable[[], Awaitable[None]], pause_s: float) -> None:
    while not ending.is_set():
        await step()
        await asyncio.sleep(pause_s)
