"""What a canary tries, counts and leaves alone; on a stage of running services it is tried in tests/e2e."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar_client.canary import STAGES, Account, CanaryMeasures, Rounds, keep_flying
from chapar_client.sdk import ChaparError, Client, OutcomeUnknown, Pending, Refused, SignedOut, Unavailable

UNKNOWN = OutcomeUnknown("no answer", request_id="r1")
PATH = "/chapar.payments.v1.PaymentsService/Transfer"


def refusal(reason: str, kind: type[Refused] = Refused) -> Refused:
    return kind(reason, {}, domain="payments.chapar", status=grpc.StatusCode.FAILED_PRECONDITION)


class World:
    """Both wallets and the room; what fails next, by what is tried."""

    def __init__(self, **rials: int) -> None:
        self.rials = dict(rials)
        self.accounts: dict[str, Account] = {}
        self.sequence = 0
        self.paid: list[tuple[str, str, int]] = []
        self.failing: dict[str, list[ChaparError]] = {}
        self.silent = False
        """Whether nobody hears anything."""

    def fail(self, what: str) -> None:
        if waiting := self.failing.get(what):
            raise waiting.pop(0)

    def show(self, message: messaging.Message) -> None:
        if not self.silent:
            for account in self.accounts.values():
                account._heard.append(message)
                account._news.set()

    def move(self, payer: str, payee: str, rials: int) -> str:
        self.rials[payer] -= rials
        self.rials[payee] += rials
        self.paid.append((payer, payee, rials))
        card = messaging.PaymentCard(transfer_id=f"t{len(self.paid)}")
        self.show(messaging.Message(payment_card=card))
        return card.transfer_id


class FakeClient:
    """One account's calls."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self.kept: list[Pending] = []
        self.messaging = self.payments = self

    async def session(self) -> Any:
        return SimpleNamespace(user_id=self._name)

    async def send_message(self, room: str, text: str, *, timeout_s: float) -> Any:
        self._world.fail("send")
        self._world.sequence += 1
        self._world.show(messaging.Message(conversation_id=room, sequence=self._world.sequence, text=text))
        return messaging.SendMessageResponse(sequence=self._world.sequence)

    async def get_wallet(self) -> Any:
        self._world.fail("wallet")
        return SimpleNamespace(balance_rials=self._world.rials[self._name])

    async def transfer(self, payee: str, rials: int, *, timeout_s: float) -> Any:
        try:
            self._world.fail("transfer")
        except OutcomeUnknown as unknown:
            self.kept.append(Pending(unknown.request_id, PATH, f"{payee} {rials}".encode(), 0))
            raise
        return SimpleNamespace(transfer_id=self._world.move(self._name, payee, rials))

    async def pending(self) -> list[Pending]:
        return list(self.kept)

    async def finish_pending(self, pending: Pending, *, timeout_s: float) -> None:
        self._world.fail("settle")
        self.kept.remove(pending)
        payee, rials = pending.content.decode().split()
        self._world.move(self._name, payee, int(rials))


class Flight:
    """Rounds on a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.measures = CanaryMeasures()
        self.told: list[str] = []
        for name in world.rials:
            world.accounts[name] = Account(cast(Client, FakeClient(world, name)))
        one, other = world.accounts.values()
        self.accounts = (one, other)
        self.rounds = Rounds(
            self.accounts, self.measures, lambda stage, _: self.told.append(stage), within_s=0.2, rials=10
        )

    async def play(self, rounds: int = 1) -> Flight:
        for account in self.accounts:
            await account.open()
        for _ in range(rounds):
            await self.rounds.play()
        return self

    def counted(self, what: str) -> dict[str, int]:
        found = {stage: self.measures.value(f"chapar_canary_{what}_total", stage=stage) for stage in STAGES}
        return {stage: int(count) for stage, count in found.items() if count}


async def test_a_round_goes_there_and_back_and_counts_each_step() -> None:
    flight = await Flight(World(a=100, b=0)).play(2)
    both_ways = {"send": 4, "delivery": 4, "wallet": 2, "transfer": 4, "arrival": 4}
    assert (flight.counted("attempts"), flight.counted("failures")) == (both_ways, {})
    assert flight.world.paid == [("a", "b", 10), ("b", "a", 10)] * 2
    assert flight.world.rials == {"a": 100, "b": 0}
    assert flight.measures.value("chapar_canary_seconds_count", stage="arrival") == 4
    assert flight.rounds.failures == 0


async def test_nothing_is_paid_while_an_outcome_is_unknown_and_then_the_same_command_is_settled() -> None:
    world = World(a=100, b=0)
    world.failing = {"transfer": [UNKNOWN], "settle": [UNKNOWN, UNKNOWN]}
    flight = await Flight(world).play(3)
    assert world.paid == []
    assert flight.told == ["transfer", "settle", "settle"]
    assert flight.measures.value("chapar_canary_unsettled") == 1
    assert flight.counted("attempts")["send"] == 6, "messages go on"
    await flight.play()
    assert world.paid[0] == ("a", "b", 10)
    assert len(world.paid) == 3
    assert world.rials == {"a": 90, "b": 10}
    assert flight.measures.value("chapar_canary_unsettled") == 0
    assert flight.measures.value("chapar_canary_missing_rials") == 0


async def test_a_refusal_settles_as_well_as_an_answer() -> None:
    world = World(a=100, b=0)
    world.failing = {"transfer": [UNKNOWN], "settle": [refusal("REASON_FUNDS_INSUFFICIENT")]}
    flight = await Flight(world).play(2)
    assert flight.told == ["transfer"]
    assert flight.counted("failures") == {"transfer": 1}


async def test_the_richer_pays_first_so_that_nobody_runs_dry() -> None:
    world = World(a=10, b=30)
    await Flight(world).play()
    assert world.paid == [("b", "a", 10), ("a", "b", 10)]


async def test_a_part_that_fails_does_not_hide_the_other() -> None:
    world = World(a=100, b=0)
    world.failing = {"send": [Unavailable("away")]}
    flight = await Flight(world).play()
    assert flight.counted("failures") == {"send": 1}
    assert len(world.paid) == 2


async def test_what_nobody_hears_in_time_has_failed() -> None:
    world = World(a=100, b=0)
    world.silent = True
    flight = await Flight(world).play()
    assert flight.counted("failures") == {"delivery": 1, "arrival": 1}
    assert world.rials == {"a": 90, "b": 10}, "nothing is paid back that has not arrived"


async def test_money_that_is_gone_is_told() -> None:
    world = World(a=100, b=0)
    flight = await Flight(world).play()
    world.rials["a"] -= 30
    await flight.play()
    assert flight.measures.value("chapar_canary_missing_rials") == 30


async def test_a_session_that_has_ended_ends_the_canary() -> None:
    world = World(a=100, b=0)
    world.failing = {"wallet": [refusal("REASON_SESSION_ENDED", SignedOut)]}
    flight = Flight(world)
    with pytest.raises(SignedOut):
        await flight.play()
    assert flight.counted("failures") == {"wallet": 1}


class Silent(Account):
    """Reads an inbox in which nothing happens, or that ends."""

    ends: ChaparError | None = None

    async def read(self) -> None:
        if self.ends is not None:
            raise self.ends
        await asyncio.Event().wait()


def _flying(world: World) -> tuple[Flight, list[Silent]]:
    flight = Flight(world)
    return flight, [Silent(account.client) for account in flight.accounts]


async def test_it_ends_after_its_rounds_and_when_it_is_asked_to() -> None:
    flight, readers = _flying(World(a=100, b=0))
    await flight.play()
    await keep_flying(readers, flight.rounds, asyncio.Event(), every_s=0.01, count=2)
    assert flight.counted("attempts")["wallet"] == 3
    asked = asyncio.Event()
    asked.set()
    await keep_flying(readers, flight.rounds, asked, every_s=60)
    assert flight.counted("attempts")["wallet"] == 3


async def test_an_inbox_that_cannot_be_read_any_more_ends_it_with_the_reason() -> None:
    flight, readers = _flying(World(a=100, b=0))
    readers[1].ends = refusal("REASON_SESSION_REVOKED", SignedOut)
    with pytest.raises(SignedOut):
        await keep_flying(readers, flight.rounds, asyncio.Event(), every_s=60)
