"""What holds of the documents of all partitions at every moment, however far each has come.

Used by tests and by whoever wants to look. `chapar verify-log` checks the same on its own, from the log alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar_payments.domain.documents import (
    LINE,
    WALLET,
    Cash,
    Departure,
    StatementLine,
    TransitIn,
    TransitOut,
    Wallet,
    departure_key,
    line_key,
    transit_in_key,
    transit_out_key,
)
from chapar_sourcing.domain import Document, Key

Books = Mapping[int, Mapping[Key, Document]]
"""The documents of each partition."""


def violations(books: Books) -> list[str]:
    """Every rule that does not hold, in words; empty when the books are in order."""
    return [
        *_unbalanced_partitions(books),
        *_lost_or_made_money(books),
        *_broken_floors(books),
        *_broken_transits(books),
        *_broken_statements(books),
    ]


def broken_by(event: journal.Event) -> Iterator[str]:
    """The rules that one event breaks by itself, by name: postings that do not sum to zero, or move another amount
    than the event says; a wallet that it leaves below zero."""
    body = getattr(event, event.WhichOneof("kind") or "", None)
    amount = getattr(body, "amount_rials", 0)
    if sum(posting.amount_rials for posting in event.postings) != 0:
        yield "unbalanced"
    if sum(posting.amount_rials for posting in event.postings if posting.amount_rials > 0) != amount:
        yield "amount_differs"
    lines = (getattr(body, name, None) for name in ("line", "payer_line", "payee_line"))
    if any(line is not None and line.balance_rials < 0 for line in lines):
        yield "below_zero"


def wallets_rials(books: Books) -> int:
    """What all wallets hold."""
    return sum(_balances(documents, Wallet) for documents in books.values())


def cash_in_rials(books: Books) -> int:
    """What operators have brought in."""
    return -sum(_balances(documents, Cash) for documents in books.values())


def in_transit_rials(books: Books) -> int:
    """What has left its payer and not reached its payee."""
    return sum(_balances(d, TransitOut) + _balances(d, TransitIn) for d in books.values())


def _balances(documents: Mapping[Key, Document], kind: type[Wallet | Cash | TransitOut | TransitIn]) -> int:
    return sum(document.balance_rials for document in documents.values() if isinstance(document, kind))


def _unbalanced_partitions(books: Books) -> Iterator[str]:
    """A partition's accounts sum to zero."""
    for partition, documents in books.items():
        total = sum(_balances(documents, kind) for kind in (Wallet, Cash, TransitOut, TransitIn))
        if total != 0:
            yield f"partition {partition} sums to {total}"


def _lost_or_made_money(books: Books) -> Iterator[str]:
    """Wallets and what is under way hold what was brought in."""
    held = wallets_rials(books) + in_transit_rials(books)
    if held != cash_in_rials(books):
        yield f"{cash_in_rials(books)} rials came in and {held} are held"


def _broken_floors(books: Books) -> Iterator[str]:
    """No wallet is below zero."""
    for documents in books.values():
        for key, document in documents.items():
            if isinstance(document, Wallet) and document.balance_rials < 0:
                yield f"the wallet of {key.parent} is at {document.balance_rials}"


def _broken_transits(books: Books) -> Iterator[str]:
    """Of a pair, what was sent and not applied is what is under way, to the rial and by number."""
    for source, documents in books.items():
        for key, sent in documents.items():
            if isinstance(sent, TransitOut):
                target = int(key.id)
                arrived = books.get(target, {}).get(transit_in_key(source))
                applied = arrived if isinstance(arrived, TransitIn) else TransitIn()
                yield from _broken_pair(source, target, documents, sent, applied)
            elif isinstance(sent, TransitIn) and transit_out_key(source) not in books[int(key.id)]:
                yield f"partition {source} applied credits that {int(key.id)} never sent"


def _broken_pair(
    source: int, target: int, documents: Mapping[Key, Document], sent: TransitOut, applied: TransitIn
) -> Iterator[str]:
    under_way = 0
    for sequence in range(applied.last_sequence + 1, sent.last_sequence + 1):
        departure = documents.get(departure_key(target, sequence))
        if not isinstance(departure, Departure):
            yield f"departure {sequence} from {source} to {target} is missing"
            continue
        under_way += departure.amount_rials
    if applied.last_sequence > sent.last_sequence:
        yield f"{target} applied {applied.last_sequence} of {source}, which sent {sent.last_sequence}"
    if sent.balance_rials + applied.balance_rials != under_way:
        yield f"from {source} to {target}, {under_way} are under way and the accounts say otherwise"


def _broken_statements(books: Books) -> Iterator[str]:
    """Lines are dense, each balance follows from the one before, and the last is the wallet's."""
    for documents in books.values():
        lines = sum(1 for key in documents if key.kind == LINE)
        for key, wallet in documents.items():
            if key.kind == WALLET and isinstance(wallet, Wallet):
                lines -= wallet.line_sequence
                yield from _broken_statement(key.parent, wallet, documents)
        if lines != 0:
            yield f"{lines} statement lines belong to no wallet"


def _broken_statement(user_id: str, wallet: Wallet, documents: Mapping[Key, Document]) -> Iterator[str]:
    balance = 0
    for sequence in range(1, wallet.line_sequence + 1):
        line = documents.get(line_key(user_id, sequence))
        if not isinstance(line, StatementLine):
            yield f"line {sequence} of {user_id} is missing"
            return
        balance += line.amount_rials
        if line.balance_rials != balance:
            yield f"line {sequence} of {user_id} says {line.balance_rials} where {balance} follows"
    if balance != wallet.balance_rials:
        yield f"the lines of {user_id} end at {balance}, the wallet holds {wallet.balance_rials}"
