"""Steady load of every kind on a stage, recorded operation by operation.

Calls have short deadlines, so that clients time out while a service is stopped; of the calls whose outcome they then
do not know, they finish half later with the same id and bytes, and leave the others unknown for ever.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar.payments.v1 import payments_pb2 as payments
from chapar_client.demo import Person, Stage, eventually
from chapar_client.sdk import OutcomeUnknown, Pending, Refused, Unavailable
from tests.e2e.history import (
    BringIn,
    LookAtRoom,
    LookAtWallet,
    MarkRead,
    Operation,
    Outcome,
    Pay,
    Recorder,
    Rename,
    Send,
)

AnswerT = TypeVar("AnswerT")

PEOPLE = 5
GUESTS_MAX = 20
CASH_IN_RIALS = 10_000_000
CALL_S = 3.0
"""The deadline of most calls: shorter than the longest stop."""
SETTLE_CALL_S = 60.0
BACK_S_MAX = 180.0
"""All must answer again so long after a disturbance began: a server may take 120 s to start on a starved machine (62 s
were seen), and owners follow it."""
LATE_S_MAX = 5.0
"""A call that ends so much after its deadline hangs; room for a machine with other work."""
PAUSE_S = 0.03
"""Between two calls of one worker."""
MORE_S_MAX = 60.0


class Arena:
    """People who read all the time; and the load they make while it is asked for."""

    def __init__(self, stage: Stage, people: list[Person], group: str, seed: int) -> None:
        self.stage = stage
        self.people = people
        self.group = group
        self.recorder = Recorder(time.monotonic)
        self.given_up: dict[str, int] = {}
        """By person's name: commands left unknown for ever."""
        self._numbers = itertools.count()
        self._guests = itertools.count()
        self._chance = random.Random(seed)

    @classmethod
    async def open(cls, stage: Stage, *, seed: int = 0) -> Arena:
        """Signs everybody in, with money and a group of all."""
        people = list(await asyncio.gather(*(stage.person(f"p{n}") for n in range(PEOPLE))))
        for person in people:
            await person.read_from_now()
        group = await people[0].client.messaging.create_group("همه", [person.user_id for person in people[1:]])
        arena = cls(stage, people, group, seed)
        for person in people:
            cash = BringIn(client=person.user_id, rials=CASH_IN_RIALS)
            arena.recorder.begin(cash)
            await stage.cash_in(person, CASH_IN_RIALS)
            arena.recorder.end(cash, Outcome.OK)
        return arena

    @property
    def rooms(self) -> dict[str, list[Person]]:
        """All conversations with their members."""
        pairs = itertools.pairwise([*self.people, self.people[0]])
        return {one.with_(other): [one, other] for one, other in pairs} | {self.group: self.people}

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Recorder]:
        """Everybody talks, pays, reads, renames themselves, comes and goes while the block runs; all ends with it."""
        ending = asyncio.Event()
        pairs = list(itertools.pairwise([*self.people, self.people[0]]))
        steps = [partial(self._talk, one, one.with_(other)) for one, other in pairs]
        steps += [partial(self._talk, person, self.group) for person in self.people[:2]]
        steps += [partial(self._pay, one, other) for one, other in pairs[:3]]
        steps += [partial(self._look, person) for person in self.people[:3]]
        steps += [partial(self._rename, self.people[3]), partial(self._come_and_go), partial(self._sign_in)]
        async with asyncio.TaskGroup() as tasks:
            for number, step in enumerate(steps):
                tasks.create_task(_until(ending, step), name=f"load {number}")
            try:
                yield self.recorder
            finally:
                ending.set()

    async def more(self, acknowledged: int) -> None:
        """Waits until so much more was acknowledged."""
        goal = self.recorder.acknowledged + acknowledged

        async def reached() -> bool:
            return self.recorder.acknowledged >= goal

        await eventually(reached, f"{acknowledged} more acknowledgements", timeout_s=MORE_S_MAX)

    # ---- one operation

    async def _do(
        self, person: Person, operation: Operation, call: Awaitable[AnswerT], take: Callable[[AnswerT], None],
        deadline_s: float = CALL_S,
    ) -> None:  # fmt: skip
        """Makes a call and notes how it ended; `take` notes what it was told."""
        self.recorder.begin(operation)
        began_s = time.monotonic()
        try:
            answer = await call
        except OutcomeUnknown as unknown:
            self._check_late(operation, began_s, deadline_s)
            if self._chance.random() < 0.5:
                self.given_up[person.name] = self.given_up.get(person.name, 0) + 1
                self.recorder.end(operation, Outcome.UNKNOWN)
            else:
                await self._settle(person, operation, unknown.request_id, take)
            return
        except Unavailable:
            # Nothing was changed, says the SDK; the checker sees whether that is so.
            self._check_late(operation, began_s, deadline_s)
            self.recorder.end(operation, Outcome.REFUSED)
            return
        except Refused as refusal:
            if refusal.reason == "REASON_CONVERSATION_UNKNOWN" and isinstance(operation, LookAtRoom | MarkRead):
                # Nobody has said anything there, which shows nothing; or one's own inbox has not heard of it yet.
                shown = isinstance(operation, LookAtRoom)
                self.recorder.end(operation, Outcome.OK if shown else Outcome.REFUSED)
                return
            self.recorder.failures.append(f"{operation} was refused: {refusal!r}")
            self.recorder.end(operation, Outcome.REFUSED)
            return
        self._check_late(operation, began_s, deadline_s)
        take(answer)
        self.recorder.end(operation, Outcome.OK)

    async def _settle(self, person: Person, operation: Operation, request_id: str, take: Callable[[Any], None]) -> None:
        """The same id and bytes again and again, until it is known."""
        pending = next(one for one in await person.client.pending() if one.request_id == request_id)
        try:
            take(await _finished(person, pending))
        except Refused as refusal:
            self.recorder.failures.append(f"{operation} was refused when it was repeated: {refusal!r}")
            self.recorder.end(operation, Outcome.REFUSED)
            return
        self.recorder.end(operation, Outcome.OK)

    def _check_late(self, operation: Operation, began_s: float, deadline_s: float) -> None:
        took_s = time.monotonic() - began_s
        if took_s > deadline_s + LATE_S_MAX:
            self.recorder.failures.append(f"{operation} took {took_s:.1f} s, its deadline was {deadline_s:.1f} s")

    # ---- what people do

    async def _talk(self, person: Person, room: str) -> None:
        send = Send(client=person.user_id, room=room, tag=f"{person.name} {next(self._numbers)}")

        def take(answer: messaging.SendMessageResponse) -> None:
            send.sequence = answer.sequence

        call = person.client.messaging.send_message(room, send.tag, timeout_s=CALL_S)
        await self._do(person, send, call, take)

    async def _pay(self, payer: Person, payee: Person) -> None:
        number = next(self._numbers)
        pay = Pay(client=payer.user_id, payee=payee.user_id, rials=1 + number % 97, tag=f"memo {number}")

        def take(answer: payments.TransferResponse) -> None:
            pay.transfer_id = answer.transfer_id

        call = payer.client.payments.transfer(payee.user_id, pay.rials, memo=pay.tag, timeout_s=CALL_S)
        await self._do(payer, pay, call, take)

    async def _look(self, person: Person) -> None:
        """At the wallet, then at a room, whose newest message is then marked as read."""
        wallet = LookAtWallet(client=person.user_id)

        def take_wallet(answer: payments.GetWalletResponse) -> None:
            wallet.rials = answer.balance_rials

        asked = person.client.call(payments.GetWalletRequest(), payments.GetWalletResponse, timeout_s=CALL_S)
        await self._do(person, wallet, asked, take_wallet)
        room = self._chance.choice([room for room, members in self.rooms.items() if person in members])
        look = LookAtRoom(client=person.user_id, room=room)

        def take_room(answer: messaging.ListMessagesResponse) -> None:
            for message in answer.messages:
                look.sequence = message.sequence
                card = message.HasField("payment_card")
                look.tag = message.payment_card.transfer_id if card else message.text

        newest = messaging.ListMessagesRequest(conversation_id=room, descending=True, page_size=1)
        shown = person.client.call(newest, messaging.ListMessagesResponse, timeout_s=CALL_S)
        await self._do(person, look, shown, take_room)
        if look.outcome is Outcome.OK and look.sequence:
            mark = MarkRead(client=person.user_id, room=room, sequence=look.sequence)
            request = messaging.MarkReadRequest(conversation_id=room, sequence=look.sequence)
            marked = person.client.call(request, messaging.MarkReadResponse, timeout_s=CALL_S)
            await self._do(person, mark, marked, lambda _: None)

    async def _rename(self, person: Person) -> None:
        rename = Rename(client=person.user_id, name=f"نام {next(self._numbers)}")
        call = person.client.identity.update_profile(rename.name)
        await self._do(person, rename, call, lambda _: None, deadline_s=30.0)

    async def _come_and_go(self) -> None:
        person = self.people[4]
        await person.stop_reading()
        shown = len(person.updates)
        person.read()
        try:
            await person.until(lambda: person.updates[shown:], f"update {shown + 1}", timeout_s=BACK_S_MAX)
        except TimeoutError as error:
            self.recorder.failures.append(str(error))

    async def _sign_in(self) -> None:
        number = next(self._guests)
        if number >= GUESTS_MAX:
            return
        gives_up_s = time.monotonic() + BACK_S_MAX
        while True:
            try:
                guest = await self.stage.person(f"guest {number}")
                profile = await guest.client.identity.get_profile()
                break
            except (Unavailable, OutcomeUnknown) as error:  # in the middle of a disturbance, which must end
                if time.monotonic() > gives_up_s:
                    self.recorder.failures.append(f"guest {number} could not sign in: {error!r}")
                    return
            await asyncio.sleep(PAUSE_S)
        if profile.name != guest.name:
            self.recorder.failures.append(f"{guest.name} is called {profile.name}")


async def _finished(person: Person, pending: Pending) -> Any:
    gives_up_s = time.monotonic() + BACK_S_MAX - SETTLE_CALL_S
    while True:
        try:
            return await person.client.finish_pending(pending, timeout_s=SETTLE_CALL_S)
        except OutcomeUnknown:
            if time.monotonic() > gives_up_s:
                raise


async def _until(ending: asyncio.Event, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while not ending.is_set():
        await step()
        await asyncio.sleep(PAUSE_S)
