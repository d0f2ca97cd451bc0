"""What a command does. Each event is made from the documents as the events before it leave them."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar.sourcing.journal.v1.journal_pb2 import Sealed
from chapar_payments.domain import accounts, rules
from chapar_payments.domain.documents import TransitIn, TransitOut, Wallet, transit_in_key, transit_out_key, wallet_key
from chapar_payments.domain.needs import stays
from chapar_sourcing.domain import Documents, Refused
from chapar_sourcing.erasures import last_erasure_of


def decide(documents: Documents, command: journal.Command, now_ms: int) -> Sequence[journal.Event] | Refused:
    """The events of a command, or why there are none. `domain.rules` has the precedence of reasons."""
    match command.WhichOneof("kind"):
        case "transfer":
            return _transfer(documents, command.transfer, now_ms)
        case "cash_in":
            return _cash_in(documents, command.cash_in)
        case "apply_credits":
            return _apply_credits(documents, command.apply_credits)
        case "erase_memos":
            return _erase_memos(documents, command.erase_memos)
        case _:
            raise ValueError("a command without a kind")


def _transfer(documents: Documents, command: journal.Transfer, now_ms: int) -> Sequence[journal.Event] | Refused:
    payer = _wallet(documents, command.payer_user_id)
    refused = rules.transfer_refusal(command, payer)
    if refused is not None:
        return refused
    if stays(command):
        return [_transferred(command, payer, _wallet(documents, command.payee_user_id))]
    transit = documents.get(transit_out_key(command.payee_partition))
    return [_sent(command, payer, transit if isinstance(transit, TransitOut) else TransitOut(), now_ms)]


def _transferred(command: journal.Transfer, payer: Wallet, payee: Wallet) -> journal.Event:
    """Both wallets are here: one entry, no transit."""
    amount = command.amount_rials
    return journal.Event(
        transferred=journal.Transferred(
            transfer_id=command.transfer_id,
            payer_user_id=command.payer_user_id,
            payee_user_id=command.payee_user_id,
            amount_rials=amount,
            memo=_memo(command),
            payer_line=_next_line(payer, -amount),
            payee_line=_next_line(payee, amount),
        ),
        postings=accounts.moved(
            amount, out_of=accounts.wallet(command.payer_user_id), into=accounts.wallet(command.payee_user_id)
        ),
    )


def _sent(command: journal.Transfer, payer: Wallet, transit: TransitOut, now_ms: int) -> journal.Event:
    """The payee lives elsewhere: the money leaves with the next number of the pair."""
    amount = command.amount_rials
    sequence = transit.last_sequence + 1
    return journal.Event(
        transfer_sent=journal.TransferSent(
            transfer_id=command.transfer_id,
            payer_user_id=command.payer_user_id,
            payee_user_id=command.payee_user_id,
            amount_rials=amount,
            memo=_memo(command),
            payer_line=_next_line(payer, -amount),
            source_partition=command.payer_partition,
            target_partition=command.payee_partition,
            transit_sequence=sequence,
            batch_first_sequence=transit.batch_first_sequence if _joins(transit, sequence, now_ms) else sequence,
        ),
        postings=accounts.moved(
            amount,
            out_of=accounts.wallet(command.payer_user_id),
            into=accounts.transit_out(command.payee_partition),
        ),
    )


def _joins(transit: TransitOut, sequence: int, now_ms: int) -> bool:
    """Whether a transfer travels with the one before it: same block time, and the batch has room."""
    return (
        transit.batch_first_sequence > 0
        and transit.batch_time_ms == now_ms
        and sequence - transit.batch_first_sequence < rules.CREDITS_MAX
    )


def _cash_in(documents: Documents, command: journal.CashIn) -> Sequence[journal.Event] | Refused:
    wallet = _wallet(documents, command.user_id)
    refused = rules.cash_in_refusal(command, wallet)
    if refused is not None:
        return refused
    event = journal.Event(
        cashed_in=journal.CashedIn(
            transfer_id=command.transfer_id,
            user_id=command.user_id,
            amount_rials=command.amount_rials,
            reference=command.reference,
            line=_next_line(wallet, command.amount_rials),
        ),
        postings=accounts.moved(command.amount_rials, out_of=accounts.CASH, into=accounts.wallet(command.user_id)),
    )
    return [event]


def _apply_credits(documents: Documents, command: journal.ApplyCredits) -> Sequence[journal.Event] | Refused:
    """Applies what is next in the pair's sequence, skips what was applied, refuses to leave a hole."""
    transit = documents.get(transit_in_key(command.source_partition))
    last = transit.last_sequence if isinstance(transit, TransitIn) else 0
    refused = rules.credits_refusal(command, last)
    if refused is not None:
        return refused
    fresh = command.credits[last + 1 - command.first_sequence :]
    wallets: dict[str, Wallet] = {}
    events = []
    for sequence, credit in enumerate(fresh, start=last + 1):
        wallet = wallets.get(credit.payee_user_id) or _wallet(documents, credit.payee_user_id)
        line = _next_line(wallet, credit.amount_rials)
        wallets[credit.payee_user_id] = Wallet(line.balance_rials, line.sequence)
        events.append(_received(command.source_partition, sequence, credit, line))
    return events


def _erase_memos(documents: Documents, command: journal.EraseMemos) -> Sequence[journal.Event]:
    """A user ends once; their money stays as it is."""
    erasure = last_erasure_of(documents, command.user_id)
    if erasure is None:
        return []
    return [journal.Event(memos_erased=journal.MemosErased(user_id=command.user_id, erasure=erasure))]


def _received(source_partition: int, sequence: int, credit: journal.Credit, line: journal.Line) -> journal.Event:
    return journal.Event(
        transfer_received=journal.TransferReceived(
            transfer_id=credit.transfer_id,
            payer_user_id=credit.payer_user_id,
            payee_user_id=credit.payee_user_id,
            amount_rials=credit.amount_rials,
            memo=credit.memo if credit.HasField("memo") else None,
            payee_line=line,
            source_partition=source_partition,
            transit_sequence=sequence,
        ),
        postings=accounts.moved(
            credit.amount_rials,
            out_of=accounts.transit_in(source_partition),
            into=accounts.wallet(credit.payee_user_id),
        ),
    )


def _wallet(documents: Documents, user_id: str) -> Wallet:
    found = documents.get(wallet_key(user_id))
    return found if isinstance(found, Wallet) else Wallet()


def _next_line(wallet: Wallet, amount_rials: int) -> journal.Line:
    return journal.Line(sequence=wallet.line_sequence + 1, balance_rials=wallet.balance_rials + amount_rials)


def _memo(command: journal.Transfer) -> Sealed | None:
    return command.memo if command.HasField("memo") else None
