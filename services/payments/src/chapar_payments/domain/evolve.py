"""What an event changes. Balances follow from its postings alone; the rest is copied from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar.payments.v1 import payments_pb2 as public
from chapar_payments.domain.accounts import key_of
from chapar_payments.domain.documents import (
    Cash,
    Departure,
    StatementLine,
    TransitIn,
    TransitOut,
    Wallet,
    departure_key,
    line_key,
)
from chapar_sourcing.domain import Document, Key, When
from chapar_sourcing.erasures import erasure_key, marked

_EventBody = journal.CashedIn | journal.Transferred | journal.TransferSent | journal.TransferReceived


def touches(event: journal.Event) -> Sequence[Key]:
    """The accounts it posts to, the statement lines it writes, the departure when money leaves, the mark of an end."""
    keys = [key_of(posting.account) for posting in event.postings]
    match event.WhichOneof("kind"):
        case "memos_erased":
            keys.append(erasure_key(event.memos_erased.erasure.subject))
        case "cashed_in":
            keys.append(line_key(event.cashed_in.user_id, event.cashed_in.line.sequence))
        case "transferred":
            body = event.transferred
            keys.append(line_key(body.payer_user_id, body.payer_line.sequence))
            keys.append(line_key(body.payee_user_id, body.payee_line.sequence))
        case "transfer_sent":
            sent = event.transfer_sent
            keys.append(line_key(sent.payer_user_id, sent.payer_line.sequence))
            keys.append(departure_key(sent.target_partition, sent.transit_sequence))
        case "transfer_received":
            keys.append(line_key(event.transfer_received.payee_user_id, event.transfer_received.payee_line.sequence))
    return keys


def evolve(key: Key, document: Document | None, event: journal.Event, when: When) -> Document | None:
    """One document after the event."""
    match key.kind:
        case "wallet":
            return _wallet(key, document, event)
        case "cash":
            cash = document if isinstance(document, Cash) else Cash()
            return Cash(str(cash.balance_rials + _posted(key, event)))
        case "transit_out":
            return _transit_out(key, document, event.transfer_sent, _posted(key, event), when)
        case "transit_in":
            transit = document if isinstance(document, TransitIn) else TransitIn()
            total = transit.balance_rials + _posted(key, event)
            return TransitIn(str(total), event.transfer_received.transit_sequence)
        case "line":
            return _line(key, event, when)
        case "departure":
            return _departure(event.transfer_sent)
        case "erasure":
            return marked(event.memos_erased.erasure)
    raise ValueError(f"payments has no documents of kind {key.kind!r}")


def _posted(key: Key, event: journal.Event) -> int:
    total = 0
    for posting in event.postings:
        if key_of(posting.account) == key:
            total += posting.amount_rials
    return total


def _wallet(key: Key, document: Document | None, event: journal.Event) -> Wallet:
    wallet = document if isinstance(document, Wallet) else Wallet()
    return Wallet(wallet.balance_rials + _posted(key, event), wallet.line_sequence + 1)


def _transit_out(
    key: Key, document: Document | None, sent: journal.TransferSent, posted: int, when: When
) -> TransitOut:
    transit = document if isinstance(document, TransitOut) else TransitOut()
    return replace(
        transit,
        total_text=str(transit.balance_rials + posted),
        last_sequence=sent.transit_sequence,
        batch_first_sequence=sent.batch_first_sequence,
        batch_time_ms=when.time_ms,
    )


def _line(key: Key, event: journal.Event, when: When) -> StatementLine:
    match event.WhichOneof("kind"):
        case "cashed_in":
            cashed = event.cashed_in
            return _line_of(public.LINE_KIND_CASH_IN, cashed, cashed.amount_rials, cashed.line, "", when)
        case "transfer_sent":
            sent = event.transfer_sent
            return _sent_line(sent, sent.payer_line, when)
        case "transfer_received":
            received = event.transfer_received
            return _received_line(received, received.payee_line, when)
        case "transferred":
            both = event.transferred
            if key.parent == both.payer_user_id:
                return _sent_line(both, both.payer_line, when)
            return _received_line(both, both.payee_line, when)
    raise ValueError("an event without a kind has no line")


def _sent_line(body: journal.Transferred | journal.TransferSent, line: journal.Line, when: When) -> StatementLine:
    return _line_of(public.LINE_KIND_SENT, body, -body.amount_rials, line, body.payee_user_id, when)


def _received_line(
    body: journal.Transferred | journal.TransferReceived, line: journal.Line, when: When
) -> StatementLine:
    return _line_of(public.LINE_KIND_RECEIVED, body, body.amount_rials, line, body.payer_user_id, when)


def _line_of(
    kind: int, body: _EventBody, amount_rials: int, line: journal.Line, counterparty: str, when: When
) -> StatementLine:
    memo = b"" if isinstance(body, journal.CashedIn) or not body.HasField("memo") else _bytes(body.memo)
    return StatementLine(
        kind=kind,
        amount_rials=amount_rials,
        balance_rials=line.balance_rials,
        transfer_id=body.transfer_id,
        counterparty_user_id=counterparty,
        time_ms=when.time_ms,
        memo=memo,
    )


def _departure(sent: journal.TransferSent) -> Departure:
    credit = journal.Credit(
        transfer_id=sent.transfer_id,
        payer_user_id=sent.payer_user_id,
        payee_user_id=sent.payee_user_id,
        amount_rials=sent.amount_rials,
        memo=sent.memo if sent.HasField("memo") else None,
    )
    return Departure(_bytes(credit), sent.amount_rials, sent.batch_first_sequence)


def _bytes(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))
