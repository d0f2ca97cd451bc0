"""Clients that want something of each partition all the time, and note when they got it.

A probe is a person and a command at one partition: a message to a conversation there, or a payment out of a wallet
there. One command of a probe follows the other, through the SDK with its tries; so what lies between two
acknowledgements is what a client sees of a hand-over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from bench.progress import Advance
from chapar_client.demo import Person, Stage
from chapar_client.sdk import ChaparError
from chapar_sourcing.partitions import partition_of

SERVICES = ("messaging", "payments")
DEADLINE_S = 30.0
CASH_IN_RIALS = 1_000_000
SEARCHED_MAX = 400
SIGN_IN_AT_ONCE = 4


@dataclass(slots=True)
class Probe:
    """Commands for one partition."""

    service: str
    partition: int
    call: Callable[[], Awaitable[object]]
    pause_s: float = 1.0
    """Between an acknowledgement and the next command."""
    acknowledged: list[float] = field(default_factory=list)
    """When, on the monotonic clock."""
    failures: list[str] = field(default_factory=list)
    """Commands that had not succeeded within 30 s of tries."""
    longest_s: float = 0.0
    """From the first try of a command to its acknowledgement."""

    def gap_s(self, since: float) -> float | None:
        """The longest time between two acknowledgements one of which is after a moment; None: none came after it."""
        last = next((at for at in reversed(self.acknowledged) if at <= since), since)
        after = [at for at in self.acknowledged if at > since]
        return max((late - early for early, late in zip([last, *after], after, strict=False)), default=None)


class Probes:
    """One for each partition of messaging and of payments."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        self.all = probes

    def at(self, service: str, partitions: Collection[int]) -> Sequence[Probe]:
        """Those of some partitions."""
        return [probe for probe in self.all if probe.service == service and probe.partition in partitions]

    @property
    def failures(self) -> Sequence[str]:
        """All commands that failed after their tries."""
        return [failure for probe in self.all for failure in probe.failures]

    @property
    def acknowledged(self) -> int:
        """Commands in all."""
        return sum(len(probe.acknowledged) for probe in self.all)

    @asynccontextmanager
    async def running(self, pause_s: float) -> AsyncIterator[None]:
        """All of them work while the block runs; the commands under way are ended in order."""
        ending = asyncio.Event()
        for probe in self.all:
            probe.pause_s = pause_s
        async with asyncio.TaskGroup() as tasks:
            for probe in self.all:
                tasks.create_task(_work(probe, ending), name=f"probe {probe.service} {probe.partition}")
            try:
                yield
            finally:
                ending.set()

    async def all_heard_since(self, probes: Sequence[Probe], moment: float, timeout_s: float) -> None:
        """Waits until each of some has had an acknowledgement after a moment, and one more."""
        async with asyncio.timeout(timeout_s):
            while not all(len(probe.acknowledged) > 1 and probe.acknowledged[-2] > moment for probe in probes):
                await asyncio.sleep(0.02)


async def _work(probe: Probe, ending: asyncio.Event) -> None:
    while not ending.is_set():
        began = time.monotonic()
        try:
            await probe.call()
        except ChaparError as error:
            probe.failures.append(f"{probe.service} {probe.partition}: {error!r}")
        else:
            probe.acknowledged.append(time.monotonic())
            probe.longest_s = max(probe.longest_s, probe.acknowledged[-1] - began)
        await asyncio.sleep(probe.pause_s)


async def probes(stage: Stage, advance: Advance) -> Probes:
    """People sign in until each partition has one; each has money and somebody to write to."""
    count = stage.up.installation.partitions
    wallets: dict[int, Person] = {}
    rooms: dict[int, tuple[Person, str]] = {}
    people: list[Person] = []
    while len(wallets) < count or len(rooms) < count:
        if len(people) > SEARCHED_MAX:
            raise RuntimeError("people do not spread over all partitions")
        new = await asyncio.gather(*(stage.person(f"p{n}", set_name=False) for n in range(SIGN_IN_AT_ONCE)))
        for person in new:
            advance(partition_of(person.user_id, count) not in wallets)
            wallets.setdefault(partition_of(person.user_id, count), person)
            for other in people:
                room = person.with_(other)
                rooms.setdefault(partition_of(room, count), (person, room))
            people.append(person)
    payees = [*list(wallets.values())[1:], next(iter(wallets.values()))]
    found = []
    for (partition, payer), payee in zip(wallets.items(), payees, strict=True):
        await stage.cash_in(payer, CASH_IN_RIALS)
        transfer = partial(payer.client.payments.transfer, payee.user_id, 1, timeout_s=DEADLINE_S)
        found.append(Probe("payments", partition, transfer))
    for partition, (person, room) in rooms.items():
        send = partial(person.client.messaging.send_message, room, "سلام", timeout_s=DEADLINE_S)
        found.append(Probe("messaging", partition, send))
    return Probes(found)
