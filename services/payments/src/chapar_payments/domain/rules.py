"""When payments refuses. The order of the checks is the documented precedence of reasons.

A transfer: AMOUNT_INVALID, PAYEE_IS_PAYER, USER_UNKNOWN, MEMO_TOO_LONG, MEMO_INVALID, FUNDS_INSUFFICIENT. A cash-in:
AMOUNT_INVALID, REFERENCE_INVALID, USER_UNKNOWN, BALANCE_LIMIT. What can be seen in the request alone (all but the last
of each) is refused before anything is journaled; `decide` checks again what it can see. Credits of other partitions are
never refused for their content: that money has left its payer and must arrive.
"""

from __future__ import annotations

import unicodedata

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar_payments.domain.documents import Wallet
from chapar_sourcing.creations import HOLE_REASON
from chapar_sourcing.domain import Refused

AMOUNT_RIALS_MAX = 1_000_000_000_000
"""Largest transfer and largest cash-in."""
BALANCE_RIALS_MAX = 1_000_000_000_000_000
"""A cash-in never lifts a wallet above this; transfers may."""
MEMO_CHARACTERS_MAX = 128
REFERENCE_CHARACTERS_MAX = 64
CREDITS_MAX = 100
"""Credits a batch between two partitions."""
_STEERING = ("Cc", "Zl", "Zp")
"""Categories of control characters and of Unicode's own line and paragraph separators."""


def amount_is_valid(amount_rials: int) -> bool:
    """Whether an amount may move at once."""
    return 1 <= amount_rials <= AMOUNT_RIALS_MAX


def is_on_one_line(text: str) -> bool:
    """Whether a text has no control characters, which would act on whatever shows it, and no line breaks."""
    return not any(unicodedata.category(character) in _STEERING for character in text)


def reference_is_valid(reference: str) -> bool:
    """Whether an operator's reference is there, short enough and on one line."""
    return 1 <= len(reference) <= REFERENCE_CHARACTERS_MAX and is_on_one_line(reference)


def transfer_form_refusal(
    *, payer_user_id: str, payee_user_id: str, amount_rials: int, memo: str, payee_is_genuine: bool
) -> Refused | None:
    """What is wrong with a request to pay, before anybody's money is looked at."""
    if not amount_is_valid(amount_rials):
        return Refused("REASON_AMOUNT_INVALID")
    if payer_user_id == payee_user_id:
        return Refused("REASON_PAYEE_IS_PAYER")
    if not payee_is_genuine:
        return Refused("REASON_USER_UNKNOWN")
    if len(memo) > MEMO_CHARACTERS_MAX:
        return Refused("REASON_MEMO_TOO_LONG")
    if not is_on_one_line(memo):
        return Refused("REASON_MEMO_INVALID")
    return None


def cash_in_form_refusal(*, amount_rials: int, reference: str, user_is_genuine: bool) -> Refused | None:
    """What is wrong with a request to bring money in, before the wallet is looked at."""
    if not amount_is_valid(amount_rials):
        return Refused("REASON_AMOUNT_INVALID")
    if not reference_is_valid(reference):
        return Refused("REASON_REFERENCE_INVALID")
    if not user_is_genuine:
        return Refused("REASON_USER_UNKNOWN")
    return None


def transfer_refusal(command: journal.Transfer, payer: Wallet) -> Refused | None:
    """Why a payer may not pay."""
    form = transfer_form_refusal(
        payer_user_id=command.payer_user_id,
        payee_user_id=command.payee_user_id,
        amount_rials=command.amount_rials,
        memo="",
        payee_is_genuine=True,
    )
    if form is not None:
        return form
    if payer.balance_rials < command.amount_rials:
        return Refused("REASON_FUNDS_INSUFFICIENT", {"balance_rials": str(payer.balance_rials)})
    return None


def cash_in_refusal(command: journal.CashIn, wallet: Wallet) -> Refused | None:
    """Why money may not be brought in."""
    form = cash_in_form_refusal(amount_rials=command.amount_rials, reference=command.reference, user_is_genuine=True)
    if form is not None:
        return form
    if wallet.balance_rials + command.amount_rials > BALANCE_RIALS_MAX:
        return Refused("REASON_BALANCE_LIMIT", {"balance_limit_rials": str(BALANCE_RIALS_MAX)})
    return None


def credits_refusal(command: journal.ApplyCredits, last_sequence: int) -> Refused | None:
    """Why credits of another partition cannot be applied yet: some before them have not arrived."""
    if command.first_sequence > last_sequence + 1:
        return Refused(HOLE_REASON, {"last_sequence": str(last_sequence)})
    return None
