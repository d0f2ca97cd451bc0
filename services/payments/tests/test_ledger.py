"""What metrics tell of the books."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.samples import Sample

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar.payments.v1 import payments_pb2 as public
from chapar_payments.domain import accounts
from chapar_payments.domain.invariants import broken_by
from chapar_payments.ledger import Ledger, Touched
from chapar_payments.measures import PAYMENTS
from chapar_sourcing.measures import HeldMeasures

from .served import PARTITIONS, Payments, World, request_id, served, user_on

LOOKS_MAX = 1_000
"""Every 0.05 s."""


@pytest.mark.parametrize(
    ("rule", "spoil"),
    [
        ("unbalanced", lambda event: event.postings.add(account="cash", amount_rials=-1)),
        ("amount_differs", lambda event: setattr(event.transferred, "amount_rials", 301)),
        ("below_zero", lambda event: setattr(event.transferred.payer_line, "balance_rials", -1)),
        ("below_zero", lambda event: setattr(event.transferred.payee_line, "balance_rials", -1)),
    ],
)
def test_each_rule_that_an_event_breaks_is_named(rule: str, spoil: Callable[[journal.Event], object]) -> None:
    event = journal.Event()
    body = event.transferred
    body.amount_rials, body.payer_line.balance_rials, body.payee_line.balance_rials = 300, 0, 300
    accounts.post(event, 300, out_of=accounts.wallet("a"), into=accounts.wallet("b"))
    assert [*broken_by(event)] == []
    spoil(event)
    assert [*broken_by(event)] == [rule]
    held = HeldMeasures(PAYMENTS)
    Ledger(Touched(set), held).take(0, event)
    assert held.counters["ledger_violations"] == 1


def test_an_event_that_cannot_be_read_is_counted_and_holds_no_money_up() -> None:
    event = journal.Event()
    event.transfer_sent.SetInParent()
    event.postings.add(account="nobody knows this", amount_rials=1)
    held = HeldMeasures(PAYMENTS)
    Ledger(Touched(set), held).take(0, event)
    assert held.counters["ledger_looks_failed"] == 1


async def test_a_document_that_cannot_be_read_is_counted_and_ends_nothing() -> None:
    asked = asyncio.Event()

    class Broken:
        async def read_durable(self, partition: int, read: object) -> object:
            if held.counters["ledger_looks_failed"]:
                asked.set()
            raise KeyError("a document of a newer release")

    held = HeldMeasures(PAYMENTS)
    keeping = asyncio.create_task(Ledger(Touched(set), held).keep(0, Broken()))  # type: ignore[arg-type]
    async with asyncio.timeout(30):
        await asked.wait()
    assert not keeping.done()
    keeping.cancel()


def test_an_erasure_moves_no_money_and_breaks_no_rule() -> None:
    assert [*broken_by(journal.Event(memos_erased=journal.MemosErased(user_id="a")))] == []


def _sum(payments: Payments, name: str) -> float:
    """Over all partitions; -1 while one of them is not told yet."""
    values = [payments.metrics.registry.get_sample_value(name, {"partition": str(n)}) for n in range(PARTITIONS)]
    return -1 if None in values else sum(value or 0 for value in values)


def _violations(payments: Payments) -> Iterator[Sample]:
    for metric in payments.metrics.registry.collect():
        if metric.name == "chapar_ledger_violations":
            yield from metric.samples


async def _told(payments: Payments, sent: int, applied: int) -> None:
    names = ("chapar_ledger_sent_rials", "chapar_ledger_applied_rials")
    for _ in range(LOOKS_MAX):
        seen = [_sum(payments, name) for name in names]
        if seen == [sent, applied]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{seen} are told, not {[sent, applied]}")


async def test_what_left_and_what_arrived_are_told_and_again_after_a_restart() -> None:
    world = World()
    payer, payee, other = user_on(0), user_on(1), user_on(2)
    async with served(world) as payments:
        await _told(payments, 0, 0)
        await payments.call(
            payments.operators.CashIn,
            public.CashInRequest(request_id=request_id(), user_id=payer, amount_rials=1_000, reference="r"),
            operator="o",
        )
        for to, amount in ((payee, 300), (other, 50)):
            request = public.TransferRequest(request_id=request_id(), payee_user_id=to, amount_rials=amount)
            await payments.call(payments.users.Transfer, request, user=payer)
        await _told(payments, 350, 350)
        assert not [*_violations(payments)]
    async with served(world) as again:
        await _told(again, 350, 350)
