"""Accounts by name, as events post to them, and the documents that hold their balances."""

from __future__ import annotations

from functools import lru_cache

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar_payments.domain import documents as d
from chapar_sourcing.domain import Key

CASH = "cash"


def wallet(user_id: str) -> str:
    """The account of a user's wallet."""
    return f"wallet:{user_id}"


def transit_out(target_partition: int) -> str:
    """The account of what left for a partition."""
    return f"transit_out:{target_partition}"


def transit_in(source_partition: int) -> str:
    """The account of what arrived from a partition."""
    return f"transit_in:{source_partition}"


def post(event: journal.Event, amount_rials: int, *, out_of: str, into: str) -> journal.Event:
    """The event with the two postings of money that goes from one account to another."""
    event.postings.add(account=out_of, amount_rials=-amount_rials)
    event.postings.add(account=into, amount_rials=amount_rials)
    return event


@lru_cache(maxsize=65_536)
def key_of(account: str) -> Key:
    """The document that holds an account's balance. Raises `ValueError` for a name that is none.

    Each event asks for the same few names again and again, hot ones all day: the newest are remembered.
    """
    kind, _, of = account.partition(":")
    match kind:
        case "wallet" if of:
            return d.wallet_key(of)
        case "transit_out":
            return d.transit_out_key(int(of))
        case "transit_in":
            return d.transit_in_key(int(of))
        case "cash" if not of:
            return d.cash_key()
    raise ValueError(f"{account!r} is not an account")
