"""What a command does. Each event is made from the documents as the events before it leave them.

Events are filled in place: a message that is made apart is copied into the one that holds it, at three times the cost.
"""

from __future__ import annotations

from collections.abc import Sequence

from chapar.payments.journal.v1 import journal_pb2 as journal
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
    event = journal.Event()
    body = event.transferred
    amount = _fill(body, command, payer)
    _fill_line(body.payee_line, payee, amount)
    payer_account, payee_account = accounts.wallet(body.payer_user_id), accounts.wallet(body.payee_user_id)
    return accounts.post(event, amount, out_of=payer_account, into=payee_account)


def _sent(command: journal.Transfer, payer: Wallet, transit: TransitOut, now_ms: int) -> journal.Event:
    """The payee lives elsewhere: the money leaves with the next number of the pair."""
    sequence = transit.last_sequence + 1
    event = journal.Event()
    body = event.transfer_sent
    amount = _fill(body, command, payer)
    body.source_partition = command.payer_partition
    body.target_partition = command.payee_partition
    body.transit_sequence = sequence
    body.batch_first_sequence = transit.batch_first_sequence if _joins(transit, sequence, now_ms) else sequence
    left_for = accounts.transit_out(command.payee_partition)
    return accounts.post(event, amount, out_of=accounts.wallet(command.payer_user_id), into=left_for)


def _fill(body: journal.Transferred | journal.TransferSent, command: journal.Transfer, payer: Wallet) -> int:
    """What every transfer says, and the payer's line; returns the amount in rials."""
    amount = command.amount_rials
    body.transfer_id = command.transfer_id
    body.payer_user_id = command.payer_user_id
    body.payee_user_id = command.payee_user_id
    body.amount_rials = amount
    if command.HasField("memo"):
        body.memo.CopyFrom(command.memo)
    _fill_line(body.payer_line, payer, -amount)
    return amount


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
    event = journal.Event()
    body = event.cashed_in
    body.transfer_id = command.transfer_id
    body.user_id = command.user_id
    body.amount_rials = command.amount_rials
    body.reference = command.reference
    _fill_line(body.line, wallet, command.amount_rials)
    into = accounts.wallet(command.user_id)
    return [accounts.post(event, command.amount_rials, out_of=accounts.CASH, into=into)]


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
        event = _received(command.source_partition, sequence, credit, wallet)
        line = event.transfer_received.payee_line
        wallets[credit.payee_user_id] = Wallet(line.balance_rials, line.sequence)
        events.append(event)
    return events


def _erase_memos(documents: Documents, command: journal.EraseMemos) -> Sequence[journal.Event]:
    """A user ends once; their money stays as it is."""
    erasure = last_erasure_of(documents, command.user_id)
    if erasure is None:
        return []
    return [journal.Event(memos_erased=journal.MemosErased(user_id=command.user_id, erasure=erasure))]


def _received(source_partition: int, sequence: int, credit: journal.Credit, payee: Wallet) -> journal.Event:
    event = journal.Event()
    body = event.transfer_received
    body.transfer_id = credit.transfer_id
    body.payer_user_id = credit.payer_user_id
    body.payee_user_id = credit.payee_user_id
    body.amount_rials = credit.amount_rials
    if credit.HasField("memo"):
        body.memo.CopyFrom(credit.memo)
    _fill_line(body.payee_line, payee, credit.amount_rials)
    body.source_partition = source_partition
    body.transit_sequence = sequence
    out_of = accounts.transit_in(source_partition)
    return accounts.post(event, credit.amount_rials, out_of=out_of, into=accounts.wallet(credit.payee_user_id))


def _wallet(documents: Documents, user_id: str) -> Wallet:
    found = documents.get(wallet_key(user_id))
    return found if isinstance(found, Wallet) else Wallet()


def _fill_line(line: journal.Line, wallet: Wallet, amount_rials: int) -> None:
    """The wallet's next line; `amount_rials` is signed: what comes in is positive."""
    line.sequence = wallet.line_sequence + 1
    line.balance_rials = wallet.balance_rials + amount_rials
