"""Which documents deciding reads: all of one partition."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar_payments.domain.documents import cash_key, transit_in_key, transit_out_key, wallet_key
from chapar_sourcing.domain import Key
from chapar_sourcing.erasures import erasure_key


def needs(command: journal.Command) -> Sequence[Key]:
    """The documents a command reads, none twice."""
    match command.WhichOneof("kind"):
        case "transfer":
            return _transfer(command.transfer)
        case "cash_in":
            return [wallet_key(command.cash_in.user_id), cash_key()]
        case "apply_credits":
            credits = command.apply_credits
            payees = dict.fromkeys(wallet_key(c.payee_user_id) for c in credits.credits)
            return [transit_in_key(credits.source_partition), *payees]
        case "erase_memos":
            return [erasure_key(command.erase_memos.user_id)]
        case _:
            raise ValueError("a command without a kind")


def stays(command: journal.Transfer) -> bool:
    """Whether payer and payee live on the same partition."""
    return command.payer_partition == command.payee_partition


def _transfer(command: journal.Transfer) -> Sequence[Key]:
    payer = wallet_key(command.payer_user_id)
    if not stays(command):
        return [payer, transit_out_key(command.payee_partition)]
    return list(dict.fromkeys([payer, wallet_key(command.payee_user_id)]))
