"""Partitions of payments in memory: the real rules over plain dictionaries, without an engine."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar_payments.domain import PaymentsDomain
from chapar_payments.domain.documents import Wallet, wallet_key
from chapar_sourcing.domain import Document, Key, Refused, When, decode, encode

DOMAIN = PaymentsDomain()


class Partition:
    """One partition's documents and the events that made them."""

    def __init__(self) -> None:
        self.documents: dict[Key, Document] = {}
        self.events: list[tuple[journal.Event, int]] = []

    def handle(self, command: journal.Command, now_ms: int = 1_000) -> Sequence[journal.Event] | Refused:
        """Decides over exactly what `needs` names, and applies what happened."""
        needed = DOMAIN.needs(command)
        assert len(needed) == len(set(needed)) <= 1_000
        given = {key: self.documents[key] for key in needed if key in self.documents}
        outcome = DOMAIN.decide(given, command, now_ms)
        if not isinstance(outcome, Refused):
            for event in outcome:
                self.apply(event, now_ms, needed)
        return outcome

    def apply(self, event: journal.Event, now_ms: int, needed: Sequence[Key] | None = None) -> None:
        """One event, after a trip through its bytes."""
        event = journal.Event.FromString(event.SerializeToString())
        assert sum(posting.amount_rials for posting in event.postings) == 0
        assert len({posting.account for posting in event.postings}) == len(event.postings)
        touched = DOMAIN.touches(event)
        assert len(touched) == len(set(touched))
        for key in touched:
            if needed is not None:
                assert key in needed or key not in self.documents
            document = DOMAIN.evolve(key, self.documents.get(key), event, When(now_ms))
            assert document is not None
            self.documents[key] = decode(DOMAIN.documents, key, encode(document))
        self.events.append((event, now_ms))

    def balance(self, user_id: str) -> int:
        """What a wallet holds."""
        wallet = self.documents.get(wallet_key(user_id), Wallet())
        assert isinstance(wallet, Wallet)
        return wallet.balance_rials


def cash_in(user_id: str, amount_rials: int, transfer_id: str = "cash-1", reference: str = "till 4") -> journal.Command:
    """An operator brings money in."""
    return journal.Command(
        cash_in=journal.CashIn(transfer_id=transfer_id, user_id=user_id, amount_rials=amount_rials, reference=reference)
    )


def transfer(
    payer: str, payee: str, amount_rials: int, *, transfer_id: str = "transfer-1", source: int = 0, target: int = 0
) -> journal.Command:
    """A user pays another, between these partitions."""
    return journal.Command(
        transfer=journal.Transfer(
            transfer_id=transfer_id,
            payer_user_id=payer,
            payee_user_id=payee,
            amount_rials=amount_rials,
            payer_partition=source,
            payee_partition=target,
        )
    )


def credit(payee: str, amount_rials: int, transfer_id: str = "transfer-1", payer: str = "sara") -> journal.Credit:
    """Money on its way."""
    return journal.Credit(transfer_id=transfer_id, payer_user_id=payer, payee_user_id=payee, amount_rials=amount_rials)


def credits(first_sequence: int, *items: journal.Credit, source: int = 1) -> journal.Command:
    """Money of another partition, from a sequence on."""
    return journal.Command(
        apply_credits=journal.ApplyCredits(source_partition=source, first_sequence=first_sequence, credits=items)
    )
