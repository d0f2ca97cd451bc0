"""Random payments between partitions over a bad network and crashing owners: the books are right at every moment.

Each partition is a log of events with the documents of its owner, and a store that lags behind. Batches between
partitions are taken from the real reaction, and repeated, reordered and lost at will.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar_payments.domain.documents import TransitIn, transit_in_key
from chapar_payments.domain.invariants import cash_in_rials, in_transit_rials, violations, wallets_rials
from chapar_payments.ledger import Ledger, Touched
from chapar_payments.measures import PAYMENTS
from chapar_payments.reactors.transits import CarryTransits
from chapar_sourcing.domain import Refused
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.positions import Position
from chapar_sourcing.reactions import Source, Submit

from .books import Partition, cash_in, transfer
from .memory_view import MemoryView

PARTITIONS = 3
USERS = [(f"user{n}", n % PARTITIONS) for n in range(6)]
REACTION = CarryTransits(Ledger(Touched(set), HeldMeasures(PAYMENTS)))


class Payments(RuleBasedStateMachine):
    """Partitions, and the reactors between them."""

    @initialize()
    def start(self) -> None:
        self.partitions = [Partition() for _ in range(PARTITIONS)]
        self.cursors = [0] * PARTITIONS
        self.under_way: list[tuple[int, journal.Command]] = []
        self.delivered: list[tuple[int, journal.Command]] = []
        self.now_ms = 1_000
        self.brought_in = 0
        self.transfers = 0
        for user in USERS:
            self.operator_brings_money_in(user, 2_000)

    @rule(step=st.integers(1, 50))
    def time_passes(self, step: int) -> None:
        self.now_ms += step

    @rule(user=st.sampled_from(USERS), amount=st.integers(-5, 1_000))
    def operator_brings_money_in(self, user: tuple[str, int], amount: int) -> None:
        outcome = self.partitions[user[1]].handle(cash_in(user[0], amount, str(self.transfers)), self.now_ms)
        assert isinstance(outcome, Refused) == (amount < 1)
        self.brought_in += max(amount, 0)

    @rule(
        payments=st.lists(
            st.tuples(st.sampled_from(USERS), st.sampled_from(USERS), st.integers(0, 400), st.booleans()),
            min_size=1,
            max_size=12,
        )
    )
    def users_pay(self, payments: Sequence[tuple[tuple[str, int], tuple[str, int], int, bool]]) -> None:
        for (payer, source), (payee, target), amount, same_block in payments:
            self.transfers += 1
            self.now_ms += not same_block
            partition = self.partitions[source]
            before = partition.balance(payer)
            command = transfer(payer, payee, amount, transfer_id=str(self.transfers), source=source, target=target)
            outcome = partition.handle(command, self.now_ms)
            allowed = amount >= 1 and payer != payee and amount <= before
            assert isinstance(outcome, Refused) != allowed

    @rule(events=st.lists(st.integers(0, 20), min_size=PARTITIONS, max_size=PARTITIONS))
    def reactors_read(self, events: Sequence[int]) -> None:
        for source, count in enumerate(events):
            for _ in range(count):
                self._react_to_next(source)

    @precondition(lambda self: self.under_way)
    @rule(places=st.lists(st.integers(0, 30), min_size=1, max_size=6))
    def network_delivers_out_of_order(self, places: Sequence[int]) -> None:
        for place in places:
            if self.under_way:
                self._deliver(self.under_way.pop(place % len(self.under_way)))

    @precondition(lambda self: self.delivered)
    @rule(back=st.integers(1, 8))
    def network_repeats(self, back: int) -> None:
        self._deliver(self.delivered[-min(back, len(self.delivered))])

    @rule(source=st.integers(0, PARTITIONS - 1))
    def reactor_crashes(self, source: int) -> None:
        """What was under way is lost; it starts again where everything is known to have arrived."""
        self.under_way = [(t, c) for t, c in self.under_way if c.apply_credits.source_partition != source]
        self.cursors[source] = self._safe_cursor(source)

    @rule(partition=st.integers(0, PARTITIONS - 1))
    def owner_crashes_and_folds_its_log(self, partition: int) -> None:
        old = self.partitions[partition]
        new = Partition()
        for event, time_ms in old.events:
            new.apply(event, time_ms)
        assert new.documents == old.documents
        self.partitions[partition] = new

    @invariant()
    def books_are_in_order(self) -> None:
        books = self._books()
        assert violations(books) == []
        assert cash_in_rials(books) == self.brought_in
        assert wallets_rials(books) + in_transit_rials(books) == self.brought_in

    def teardown(self) -> None:
        """At rest, when the network has calmed down, nothing is under way any more."""
        if not hasattr(self, "partitions"):
            return
        for source in range(PARTITIONS):
            self.reactor_crashes(source)
            while self._react_to_next(source):
                pass
        for item in self.under_way:
            self._deliver(item)
        assert violations(self._books()) == []
        assert in_transit_rials(self._books()) == 0
        for sum_of_prefix in self._prefix_sums():
            assert sum_of_prefix == 0

    def _books(self) -> dict[int, dict[object, object]]:
        return {n: partition.documents for n, partition in enumerate(self.partitions)}

    def _prefix_sums(self) -> Sequence[int]:
        return [sum(p.amount_rials for p in e.postings) for partition in self.partitions for e, _ in partition.events]

    def _react_to_next(self, source: int) -> bool:
        partition = self.partitions[source]
        index = self.cursors[source]
        if index >= len(partition.events):
            return False
        self.cursors[source] += 1
        event, time_ms = partition.events[index]
        where = Source("payments", source, Position(index, 0), time_ms)
        for outgoing in asyncio.run(REACTION.react(event, where, MemoryView(partition.documents, source))):
            assert isinstance(outgoing, Submit)
            target = dict(USERS)[outgoing.key]
            assert isinstance(outgoing.command, journal.Command)
            assert {dict(USERS)[c.payee_user_id] for c in outgoing.command.apply_credits.credits} == {target}
            self.under_way.append((target, outgoing.command))
        return True

    def _deliver(self, item: tuple[int, journal.Command]) -> None:
        target, command = item
        outcome = self.partitions[target].handle(command, self.now_ms)
        if isinstance(outcome, Refused):
            assert outcome.reason == "REASON_CREATION_HOLE"
        else:
            self.delivered.append(item)

    def _safe_cursor(self, source: int) -> int:
        """Before the first departure that its target has not applied: a stored cursor is never beyond it."""
        for index, (event, _) in enumerate(self.partitions[source].events):
            if event.WhichOneof("kind") == "transfer_sent":
                sent = event.transfer_sent
                mark = self.partitions[sent.target_partition].documents.get(transit_in_key(source), TransitIn())
                assert isinstance(mark, TransitIn)
                if sent.transit_sequence > mark.last_sequence:
                    return index
        return len(self.partitions[source].events)


TestPayments = Payments.TestCase
TestPayments.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
