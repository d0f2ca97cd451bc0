"""Steady load of every kind on a stage, and a look at what is there when it has ended."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.demo import Person, Stage, eventually
from chapar_client.sdk import ChaparError
from tests.e2e.history import Line, Paid, Recorder, Sent, Shown, check_cards, check_money, check_room, check_shown

PEOPLE = 5
CASH_IN_RIALS = 10_000_000
SETTLE_S_MAX = 60.0


class Arena:
    """People who read all the time; and the load they make while it is asked for."""

    def __init__(self, stage: Stage, people: list[Person], group: str) -> None:
        self.stage = stage
        self.people = people
        self.group = group
        self.recorder = Recorder()
        self._numbers = itertools.count()

    @classmethod
    async def open(cls, stage: Stage) -> Arena:
        """Signs everybody in, with money and a group of all."""
        people = list(await asyncio.gather(*(stage.person(f"p{n}") for n in range(PEOPLE))))
        for person in people:
            await person.read_from_now()
        group = await people[0].client.messaging.create_group("همه", [person.user_id for person in people[1:]])
        arena = cls(stage, people, group)
        for person in people:
            await stage.cash_in(person, CASH_IN_RIALS)
            arena.recorder.brought_in[person.user_id] += CASH_IN_RIALS
        return arena

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Recorder]:
        """Everybody talks, pays, renames themselves and comes and goes while the block runs; all ends with it."""
        ending = asyncio.Event()
        pairs = list(itertools.pairwise([*self.people, self.people[0]]))
        work = [self._talk(one, one.with_(other), ending) for one, other in pairs]
        work += [self._talk(person, self.group, ending) for person in self.people[:2]]
        work += [self._pay(one, other, ending) for one, other in pairs[:3]]
        work += [self._rename(self.people[3], ending), self._come_and_go(ending), self._sign_in(ending)]
        async with asyncio.TaskGroup() as tasks:
            for number, one in enumerate(work):
                tasks.create_task(one, name=f"load {number}")
            try:
                yield self.recorder
            finally:
                ending.set()

    async def more(self, acknowledged: int) -> None:
        """Waits until so much more was acknowledged."""
        goal = self.recorder.acknowledged + acknowledged

        async def reached() -> bool:
            return self.recorder.acknowledged >= goal

        await eventually(reached, f"{acknowledged} more acknowledgements", timeout_s=SETTLE_S_MAX)

    async def problems(self) -> list[str]:
        """Everything that is not as it must be, once it has come to rest."""
        await self._settled()
        found = list(self.recorder.failures)
        statements = {person.user_id: await _statement(person) for person in self.people}
        found += check_money(statements, self.recorder)
        for room, members in self._rooms().items():
            told = await _history(members[0], room)
            found += check_room(room, told, self.recorder)
            if room != self.group:
                found += check_cards([member.user_id for member in members], told, self.recorder)
            for member in members:
                found += check_shown(member.name, [_shown(message) for message in member.messages(room)], told)
                found += await _check_unread(member, room, told)
        for person in self.people:
            name = (await person.client.identity.get_profile()).name
            if name != self.recorder.names.get(person.user_id, name):
                found.append(f"{person.name} is called {name}, not {self.recorder.names[person.user_id]}")
            found += [f"{person.name} has {one.path} pending" for one in await person.client.pending()]
        return found

    def _rooms(self) -> dict[str, list[Person]]:
        pairs = itertools.pairwise([*self.people, self.people[0]])
        return {one.with_(other): [one, other] for one, other in pairs} | {self.group: self.people}

    async def _settled(self) -> None:
        """Waits until money, cards and inboxes have caught up with what was acknowledged."""

        async def caught_up() -> bool:
            balances = [(await person.client.payments.get_wallet()).balance_rials for person in self.people]
            if sum(balances) != self.recorder.brought_in.total():
                return False
            for room, members in self._rooms().items():
                told = await _history(members[0], room)
                cards = sum(1 for message in told if message.text not in self.recorder.tried)
                two = {member.user_id for member in members}
                due = sum(1 for paid in self.recorder.paid if {paid.payer, paid.payee} == two)
                if cards < due or any(len(member.messages(room)) < len(told) for member in members):
                    return False
            return True

        try:
            await eventually(caught_up, "rest", timeout_s=SETTLE_S_MAX)
        except TimeoutError as error:
            self.recorder.failures.append(str(error))

    async def _talk(self, person: Person, room: str, ending: asyncio.Event) -> None:
        while not ending.is_set():
            text = f"{person.name} {next(self._numbers)}"
            self.recorder.tried.add(text)
            try:
                sequence = await person.say(room, text)
            except ChaparError as error:
                self.recorder.failures.append(f"send: {error!r}")
                continue
            self.recorder.sent.append(Sent(room, person.user_id, text, sequence))

    async def _pay(self, payer: Person, payee: Person, ending: asyncio.Event) -> None:
        while not ending.is_set():
            rials = 1 + next(self._numbers) % 97
            try:
                answer = await payer.client.payments.transfer(payee.user_id, rials)
            except ChaparError as error:
                self.recorder.failures.append(f"pay: {error!r}")
                continue
            self.recorder.paid.append(Paid(answer.transfer_id, payer.user_id, payee.user_id, rials))

    async def _rename(self, person: Person, ending: asyncio.Event) -> None:
        while not ending.is_set():
            name = f"نام {next(self._numbers)}"
            try:
                await person.client.identity.update_profile(name)
            except ChaparError as error:
                self.recorder.failures.append(f"rename: {error!r}")
                continue
            self.recorder.names[person.user_id] = name

    async def _come_and_go(self, ending: asyncio.Event) -> None:
        person = self.people[4]
        while not ending.is_set():
            await person.stop_reading()
            shown = len(person.updates)
            person.read()
            await person.hears_more(than=shown)

    async def _sign_in(self, ending: asyncio.Event) -> None:
        number = 0
        while not ending.is_set() and number < 20:
            guest = await self.stage.person(f"guest {number}")
            profile = await guest.client.identity.get_profile()
            if profile.name != guest.name:
                self.recorder.failures.append(f"{guest.name} is called {profile.name}")
            number += 1


def _shown(message: messaging.Message) -> Shown:
    text = message.payment_card.transfer_id if message.HasField("payment_card") else message.text
    return Shown(message.sequence, message.sender_user_id, text)


async def _history(person: Person, room: str) -> list[Shown]:
    return [_shown(message) async for message in person.client.messaging.history(room)]


async def _statement(person: Person) -> list[Line]:
    lines = [line async for line in person.client.payments.statement()]
    return [
        Line(
            line.transfer_id if line.counterparty_user_id else f"cash-in:{line.transfer_id}",
            line.amount_rials,
            line.balance_rials,
        )
        for line in reversed(lines)
    ]


async def _check_unread(person: Person, room: str, told: list[Shown]) -> list[str]:
    """Unread by brute force: what others said after one's own last message."""
    own = max((message.sequence for message in told if message.sender == person.user_id), default=0)
    brute = sum(1 for message in told if message.sequence > own)
    unread = await person.unread(room)
    return [] if unread == brute or not told else [f"{person.name} has {unread} unread in {room}, not {brute}"]
