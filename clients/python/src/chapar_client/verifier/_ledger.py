"""The laws of money, from the postings alone.

At every event: its postings sum to zero, no wallet is below zero, lines of a statement are dense and carry the balance
that the postings give. Over all partitions: what left a partition for another was applied there once, in order and
unchanged, or is still on its way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from chapar.payments.journal.v1 import journal_pb2 as payments
from chapar_client.verifier._chain import Entry

Moved: TypeAlias = tuple[str, str, str, int]
"""(transfer id, payer, payee, rials)."""


@dataclass(slots=True)
class Ledger:
    """The books of all partitions of payments."""

    damage: list[str] = field(default_factory=list)
    cash_in_rials: int = 0
    _balances: dict[tuple[int, str], int] = field(default_factory=lambda: defaultdict(int))
    _lines: dict[tuple[int, str], int] = field(default_factory=lambda: defaultdict(int))
    _sent: dict[tuple[int, int], list[Moved]] = field(default_factory=lambda: defaultdict(list))
    _received: dict[tuple[int, int], list[Moved]] = field(default_factory=lambda: defaultdict(list))
    _transfers: set[str] = field(default_factory=set)

    def book(self, partition: int, entry: Entry) -> None:
        """Takes one entry of a partition, in order."""
        for index, data in enumerate(entry.entry.events.events):
            place = f"{partition}@{entry.offset}/{entry.first_event + index}"
            try:
                event = payments.Event.FromString(data)
            except Exception:
                self.damage.append(f"{place}: the event cannot be read")
                continue
            if event.HasField("memos_erased"):
                if event.postings:
                    self.damage.append(f"{place}: an erasure moves money")
                continue
            self._post(partition, place, event)
            self._follow(partition, place, event)

    def _post(self, partition: int, place: str, event: payments.Event) -> None:
        if not event.postings:
            self.damage.append(f"{place}: an event without postings")
        if sum(posting.amount_rials for posting in event.postings):
            self.damage.append(f"{place}: postings do not sum to zero")
        for posting in event.postings:
            account = (partition, posting.account)
            self._balances[account] += posting.amount_rials
            if posting.account.startswith("wallet:") and self._balances[account] < 0:
                self.damage.append(f"{place}: {posting.account} is below zero")

    def _follow(self, partition: int, place: str, event: payments.Event) -> None:
        match event.WhichOneof("kind"):
            case "cashed_in":
                self.cash_in_rials += event.cashed_in.amount_rials
                self._once(place, event.cashed_in.transfer_id)
                self._line(partition, place, event.cashed_in.user_id, event.cashed_in.line)
            case "transferred":
                done = event.transferred
                self._once(place, done.transfer_id)
                self._line(partition, place, done.payer_user_id, done.payer_line)
                self._line(partition, place, done.payee_user_id, done.payee_line)
            case "transfer_sent":
                sent = event.transfer_sent
                self._once(place, sent.transfer_id)
                self._line(partition, place, sent.payer_user_id, sent.payer_line)
                pair = self._sent[(partition, sent.target_partition)]
                if sent.transit_sequence != len(pair) + 1:
                    self.damage.append(f"{place}: transit {sent.transit_sequence} follows {len(pair)}")
                pair.append((sent.transfer_id, sent.payer_user_id, sent.payee_user_id, sent.amount_rials))
            case "transfer_received":
                got = event.transfer_received
                self._line(partition, place, got.payee_user_id, got.payee_line)
                pair = self._received[(got.source_partition, partition)]
                if got.transit_sequence != len(pair) + 1:
                    self.damage.append(f"{place}: transit {got.transit_sequence} was applied after {len(pair)}")
                pair.append((got.transfer_id, got.payer_user_id, got.payee_user_id, got.amount_rials))
            case _:
                self.damage.append(f"{place}: an event of a kind that is not known here")

    def _once(self, place: str, transfer_id: str) -> None:
        if transfer_id in self._transfers:
            self.damage.append(f"{place}: {transfer_id} was booked twice")
        self._transfers.add(transfer_id)

    def _line(self, partition: int, place: str, user_id: str, line: payments.Line) -> None:
        wallet = (partition, f"wallet:{user_id}")
        self._lines[wallet] += 1
        if line.sequence != self._lines[wallet]:
            self.damage.append(f"{place}: line {line.sequence} of a statement follows {self._lines[wallet] - 1}")
        if line.balance_rials != self._balances[wallet]:
            self.damage.append(f"{place}: a line says {line.balance_rials}, the postings {self._balances[wallet]}")

    def close(self) -> dict[str, int]:
        """Compares the two sides of every transit and the whole; returns the totals in rials."""
        in_transit = sum(self._pairs())
        wallets = sum(rials for (_, account), rials in self._balances.items() if account.startswith("wallet:"))
        out = sum(rials for (_, account), rials in self._balances.items() if account.startswith("transit_"))
        if out != in_transit:
            self.damage.append(f"transit accounts hold {out} rials, {in_transit} are on their way")
        if wallets + in_transit != self.cash_in_rials:
            self.damage.append(
                f"{self.cash_in_rials} rials came in, {wallets} are in wallets, {in_transit} on their way"
            )
        return {"cash_in_rials": self.cash_in_rials, "wallets_rials": wallets, "in_transit_rials": in_transit}

    def _pairs(self) -> Iterator[int]:
        for pair in self._sent.keys() | self._received.keys():
            sent, received = self._sent[pair], self._received[pair]
            if received != sent[: len(received)]:
                self.damage.append(f"transit {pair[0]} -> {pair[1]}: what arrived is not what was sent")
            yield sum(moved[3] for moved in sent[len(received) :])
