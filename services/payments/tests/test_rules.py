"""Each reason, its precedence, and what an accepted command leaves behind."""

from __future__ import annotations

import pytest

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar.payments.v1 import payments_pb2 as public
from chapar.sourcing.journal.v1.journal_pb2 import Entry, Sealed
from chapar_payments.domain import rules
from chapar_payments.domain.documents import (
    Departure,
    StatementLine,
    TransitIn,
    TransitOut,
    departure_key,
    line_key,
    transit_in_key,
    transit_out_key,
)
from chapar_payments.domain.invariants import violations
from chapar_sourcing.creations import HOLE_REASON
from chapar_sourcing.domain import Refused
from chapar_sourcing.owner import Bounds

from .books import Partition, cash_in, credit, credits, transfer

AMOUNT_MAX = 1_000_000_000_000
BALANCE_MAX = 1_000_000_000_000_000


def reason_of(outcome: object) -> str:
    """The reason's name, or "" for an accepted command."""
    return outcome.reason if isinstance(outcome, Refused) else ""


@pytest.mark.parametrize(
    ("amount", "payee", "reason"),
    [
        (1, "omid", ""),
        (500, "omid", ""),
        (501, "omid", "REASON_FUNDS_INSUFFICIENT"),
        (AMOUNT_MAX, "omid", "REASON_FUNDS_INSUFFICIENT"),
        (0, "omid", "REASON_AMOUNT_INVALID"),
        (-1, "omid", "REASON_AMOUNT_INVALID"),
        (AMOUNT_MAX + 1, "omid", "REASON_AMOUNT_INVALID"),
        (-(2**63), "omid", "REASON_AMOUNT_INVALID"),
        (2**63 - 1, "omid", "REASON_AMOUNT_INVALID"),
        (1, "sara", "REASON_PAYEE_IS_PAYER"),
        (0, "sara", "REASON_AMOUNT_INVALID"),
        (501, "sara", "REASON_PAYEE_IS_PAYER"),
    ],
)
@pytest.mark.parametrize("target", [0, 7])
def test_transfer_is_accepted_or_refused_by_the_first_rule_that_fails(
    amount: int, payee: str, reason: str, target: int
) -> None:
    partition = Partition()
    partition.handle(cash_in("sara", 500))
    before = dict(partition.documents)
    outcome = partition.handle(transfer("sara", payee, amount, target=target))
    assert reason_of(outcome) == reason
    assert (partition.documents == before) == bool(reason)


@pytest.mark.parametrize(
    ("amount", "held", "reference", "reason"),
    [
        (1, 0, "r", ""),
        (AMOUNT_MAX, BALANCE_MAX - AMOUNT_MAX, "r" * 64, ""),
        (AMOUNT_MAX, BALANCE_MAX - AMOUNT_MAX + 1, "r", "REASON_BALANCE_LIMIT"),
        (0, 0, "r", "REASON_AMOUNT_INVALID"),
        (-5, 0, "", "REASON_AMOUNT_INVALID"),
        (AMOUNT_MAX + 1, 0, "r", "REASON_AMOUNT_INVALID"),
        (1, BALANCE_MAX, "", "REASON_REFERENCE_INVALID"),
        (1, 0, "r" * 65, "REASON_REFERENCE_INVALID"),
    ],
)
def test_cash_in_is_accepted_or_refused_by_the_first_rule_that_fails(
    amount: int, held: int, reference: str, reason: str
) -> None:
    partition = Partition()
    if held:
        partition.handle(credits(1, credit("sara", held)))
    outcome = partition.handle(cash_in("sara", amount, reference=reference))
    assert reason_of(outcome) == reason
    assert partition.balance("sara") == held + (0 if reason else amount)


@pytest.mark.parametrize(
    ("amount", "payee", "genuine", "memo", "reason"),
    [
        (1, "omid", True, "", ""),
        (1, "omid", True, "م" * 128, ""),
        (1, "omid", True, "م" * 129, "REASON_MEMO_TOO_LONG"),
        (1, "omid", False, "م" * 129, "REASON_USER_UNKNOWN"),
        (1, "sara", False, "م" * 129, "REASON_PAYEE_IS_PAYER"),
        (0, "sara", False, "م" * 129, "REASON_AMOUNT_INVALID"),
        (1, "omid", True, "م" * 128 + "\x1b", "REASON_MEMO_TOO_LONG"),
        (1, "omid", True, "\x1b[2J", "REASON_MEMO_INVALID"),
        (1, "omid", True, "a\x00", "REASON_MEMO_INVALID"),
        (1, "omid", True, "a\nb", "REASON_MEMO_INVALID"),
        (1, "omid", True, "\x9b2J", "REASON_MEMO_INVALID"),
        (1, "omid", True, "a\u2028b", "REASON_MEMO_INVALID"),
        (1, "omid", True, "a\u2029b", "REASON_MEMO_INVALID"),
        (1, "omid", True, "نان\u200cها \u200fRTL", ""),
    ],
)
def test_form_of_a_transfer_has_the_documented_precedence(
    amount: int, payee: str, genuine: bool, memo: str, reason: str
) -> None:
    refused = rules.transfer_form_refusal(
        payer_user_id="sara", payee_user_id=payee, amount_rials=amount, memo=memo, payee_is_genuine=genuine
    )
    assert reason_of(refused) == reason


@pytest.mark.parametrize(
    ("amount", "reference", "genuine", "reason"),
    [
        (1, "r", True, ""),
        (1, "r", False, "REASON_USER_UNKNOWN"),
        (1, "", False, "REASON_REFERENCE_INVALID"),
        (0, "", False, "REASON_AMOUNT_INVALID"),
        (1, "r\n", True, "REASON_REFERENCE_INVALID"),
        (1, "\x1b[2J", True, "REASON_REFERENCE_INVALID"),
    ],
)
def test_form_of_a_cash_in_has_the_documented_precedence(
    amount: int, reference: str, genuine: bool, reason: str
) -> None:
    refused = rules.cash_in_form_refusal(amount_rials=amount, reference=reference, user_is_genuine=genuine)
    assert reason_of(refused) == reason


def test_every_reason_is_in_the_public_enum() -> None:
    names = set(public.Reason.keys())
    said = {
        value
        for function in (rules.transfer_form_refusal, rules.cash_in_form_refusal, rules.transfer_refusal)
        for value in function.__code__.co_consts
        if isinstance(value, str) and value.startswith("REASON_")
    }
    assert len(said) >= 6
    assert said <= names


def test_an_overdraft_says_what_there_is() -> None:
    partition = Partition()
    partition.handle(cash_in("sara", 500))
    outcome = partition.handle(transfer("sara", "omid", 501))
    assert outcome == Refused("REASON_FUNDS_INSUFFICIENT", {"balance_rials": "500"})


def test_transfer_on_one_partition_moves_money_in_one_event() -> None:
    partition = Partition()
    partition.handle(cash_in("sara", 500), now_ms=1)
    outcome = partition.handle(transfer("sara", "omid", 120), now_ms=2)
    assert [e.WhichOneof("kind") for e in outcome] == ["transferred"]
    assert (partition.balance("sara"), partition.balance("omid")) == (380, 120)
    assert partition.documents[line_key("sara", 2)] == StatementLine(
        public.LINE_KIND_SENT, -120, 380, "transfer-1", "omid", 2
    )
    assert partition.documents[line_key("omid", 1)] == StatementLine(
        public.LINE_KIND_RECEIVED, 120, 120, "transfer-1", "sara", 2
    )
    assert violations({0: partition.documents}) == []


def test_transfer_to_another_partition_leaves_with_the_next_number() -> None:
    partition = Partition()
    partition.handle(cash_in("sara", 500), now_ms=1)
    partition.handle(transfer("sara", "omid", 100, target=7), now_ms=2)
    outcome = partition.handle(transfer("sara", "mina", 20, target=7, transfer_id="transfer-2"), now_ms=3)
    assert [e.transfer_sent.transit_sequence for e in outcome] == [2]
    assert {p.account: p.amount_rials for p in outcome[0].postings} == {"wallet:sara": -20, "transit_out:7": 20}
    assert partition.documents[transit_out_key(7)] == TransitOut("120", 2, 2, 3)
    departure = partition.documents[departure_key(7, 2)]
    assert isinstance(departure, Departure)
    assert journal.Credit.FromString(departure.credit) == credit("mina", 20, "transfer-2")
    assert violations({0: partition.documents, 7: {}}) == []


def test_transfers_of_one_block_travel_in_batches_of_a_hundred() -> None:
    partition = Partition()
    partition.handle(cash_in("sara", 1_000), now_ms=1)
    firsts = []
    for n in range(1, 251):
        event = partition.handle(transfer("sara", "omid", 1, target=7, transfer_id=str(n)), now_ms=5)[0]
        firsts.append(event.transfer_sent.batch_first_sequence)
    later = partition.handle(transfer("sara", "omid", 1, target=7, transfer_id="251"), now_ms=6)[0]
    assert firsts == [1] * 100 + [101] * 100 + [201] * 50
    assert later.transfer_sent.batch_first_sequence == 251


def test_two_credits_to_one_wallet_in_one_command_are_both_booked() -> None:
    partition = Partition()
    outcome = partition.handle(credits(1, credit("omid", 10, "a"), credit("omid", 5, "b"), credit("mina", 1, "c")))
    lines = [(e.transfer_received.payee_line.sequence, e.transfer_received.payee_line.balance_rials) for e in outcome]
    assert lines == [(1, 10), (2, 15), (1, 1)]
    assert (partition.balance("omid"), partition.balance("mina")) == (15, 1)
    assert partition.documents[transit_in_key(1)] == TransitIn("-16", 3)


def test_two_credits_to_one_wallet_in_one_block_are_both_booked() -> None:
    partition = Partition()
    partition.handle(credits(1, credit("omid", 10, "a"), source=1), now_ms=9)
    partition.handle(credits(1, credit("omid", 5, "b"), source=2), now_ms=9)
    partition.handle(cash_in("omid", 3), now_ms=9)
    assert partition.balance("omid") == 18


@pytest.mark.parametrize(
    ("first", "count", "reason", "applied"),
    [
        (4, 2, "", ["4", "5"]),
        (1, 3, "", []),
        (3, 1, "", []),
        (2, 4, "", ["4", "5"]),
        (5, 1, HOLE_REASON, []),
        (4, 0, "", []),
    ],
)
def test_credits_apply_what_is_next_once_and_never_leave_a_hole(
    first: int, count: int, reason: str, applied: list[str]
) -> None:
    partition = Partition()
    partition.handle(credits(1, *(credit("omid", n, str(n)) for n in (1, 2, 3))))
    before = len(partition.events)
    outcome = partition.handle(credits(first, *(credit("omid", n, str(n)) for n in range(first, first + count))))
    assert reason_of(outcome) == reason
    assert [e.transfer_received.transfer_id for e, _ in partition.events[before:]] == applied


def test_credits_of_other_partitions_are_never_refused_for_a_full_wallet() -> None:
    partition = Partition()
    partition.handle(credits(1, credit("omid", BALANCE_MAX)))
    assert reason_of(partition.handle(credits(2, credit("omid", AMOUNT_MAX)))) == ""
    assert partition.balance("omid") == BALANCE_MAX + AMOUNT_MAX


def test_transit_totals_outgrow_64_bits() -> None:
    partition = Partition()
    partition.documents[transit_in_key(1)] = TransitIn(str(-(2**63)), 4)
    partition.handle(credits(5, credit("omid", AMOUNT_MAX)))
    assert partition.documents[transit_in_key(1)] == TransitIn(str(-(2**63) - AMOUNT_MAX), 5)


def test_memo_travels_sealed_to_both_statements() -> None:
    sealed = journal.Transfer().memo
    sealed.key_id, sealed.nonce, sealed.ciphertext = "k", b"n" * 12, b"c"
    source, target = Partition(), Partition()
    source.handle(cash_in("sara", 5))
    command = transfer("sara", "omid", 5, target=7)
    command.transfer.memo.CopyFrom(sealed)
    source.handle(command)
    departure = source.documents[departure_key(7, 1)]
    assert isinstance(departure, Departure)
    target.handle(credits(1, journal.Credit.FromString(departure.credit), source=0))
    for partition, key in ((source, line_key("sara", 2)), (target, line_key("omid", 1))):
        line = partition.documents[key]
        assert isinstance(line, StatementLine)
        assert line.memo == sealed.SerializeToString(deterministic=True)


def test_the_largest_batch_fits_into_one_entry() -> None:
    sealed = Sealed(key_id="k" * 64, nonce=b"n" * 12, ciphertext=b"c" * (128 * 4 + 16))
    one = journal.Credit(
        transfer_id="f" * 32, payer_user_id="p" * 26, payee_user_id="q" * 26, amount_rials=AMOUNT_MAX, memo=sealed
    )
    partition = Partition()
    partition.handle(credits(1, journal.Credit(payee_user_id="q" * 26, amount_rials=2**62), source=16_383))
    outcome = partition.handle(credits(2, *[one] * rules.CREDITS_MAX, source=16_383))
    entry = Entry(request_id=b"r" * 16, content_hash=b"h" * 32, trace_parent="t" * 55)
    entry.events.events.extend(event.SerializeToString() for event in outcome)
    assert len(entry.events.events) == rules.CREDITS_MAX
    assert entry.ByteSize() < Bounds().entry_bytes_max - 1_000
