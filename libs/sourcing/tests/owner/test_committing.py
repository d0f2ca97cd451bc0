"""Group commit: what a block takes in, and what its acknowledgement means."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from chapar_sourcing.owner import AppendFailed, AppendSucceeded, Bounds, CommandReceived, OwnerPhase

from .accounts import add, need_all, refuse
from .rig import NOW_MS, Rig, owning, successor


def sent(rig: Rig, *names: str) -> list[int]:
    """Commands to these accounts, decided and sent in one block."""
    tickets = [rig.send(add(name)) for name in names]
    rig.load_all()
    rig.flush()
    return tickets


# ---- what a block takes in


def test_one_block_is_in_flight_and_the_next_fills_meanwhile() -> None:
    rig = owning()
    sent(rig, "a", "b")
    assert rig.owner.undurable
    sent(rig, "a")
    sent(rig, "c")
    assert len(rig.appends) == 1
    assert len(rig.block().entries) == 2
    rig.land()
    rig.flush()
    assert len(rig.block().entries) == 2


def test_nothing_is_told_before_its_block_is_durable() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    assert ticket not in rig.replies
    assert rig.count("a") == 1
    offset = rig.land()
    reply = rig.replies[ticket]
    assert not reply.needs_confirmation
    assert reply.outcome.position is not None
    assert reply.outcome.position.offset == offset
    assert not reply.outcome.replayed


def test_every_ticket_that_is_not_below_zero_is_told() -> None:
    """Those below are the owner's own."""
    rig = owning()
    command = replace(rig.command(add("a")), ticket=0)
    rig.give(CommandReceived(command))
    rig.load_all()
    rig.flush()
    rig.land()
    assert rig.reason(0) == ""


def test_each_command_is_told_where_its_first_event_stands() -> None:
    rig = owning()
    rig.send(need_all(["a", "b"]))
    rig.load_all()
    rig.flush()
    rig.land()
    tickets = [rig.send(add("a", events=2)), rig.send(add("b", events=3)), rig.send(add("a"))]
    rig.load_all()
    rig.flush()
    rig.land()
    positions = [rig.outcome(ticket).position for ticket in tickets]
    assert [place.event_index for place in positions if place] == [0, 2, 5]


def test_blocks_carry_the_chain_and_a_clock_that_never_goes_back() -> None:
    rig = owning()
    rig.now_ms += 5_000
    sent(rig, "a")
    first = rig.block()
    rig.land()
    rig.now_ms -= 30_000
    before = rig.owner.fold
    sent(rig, "a")
    second = rig.block()
    assert (second.sequence, second.previous_hash) == (2, before.hash)
    assert second.time_ms >= first.time_ms == NOW_MS + 5_000


def test_a_new_owner_with_a_slow_clock_goes_on_from_the_time_of_the_log() -> None:
    first = owning()
    first.now_ms += 3_600_000
    first.done(add("a"))
    second = successor(first)
    second.now_ms = NOW_MS
    second.take_over()
    second.done(add("a"))
    assert second.live_blocks[0].block.time_ms == NOW_MS + 3_600_000


def test_a_block_holds_so_many_entries() -> None:
    rig = owning(bounds=Bounds(entries_max=3))
    tickets = sent(rig, "a", "b", "c", "d")
    assert len(rig.block().entries) == 3
    assert rig.count("d") == 1
    rig.land()
    assert [rig.reason(ticket) for ticket in tickets] == ["", "", "", None]
    rig.flush()
    rig.land()
    assert rig.reason(tickets[3]) == ""


def test_a_block_holds_so_many_bytes() -> None:
    rig = owning(bounds=Bounds(block_bytes_max=4_000))
    for _ in range(3):
        rig.send(add("a", text="x" * 1_500))
    rig.load_all()
    rig.flush()
    assert len(rig.block().entries) == 2
    assert len(rig.appends[0].data) < 4_200
    rig.land()
    rig.flush()
    assert len(rig.block().entries) == 1
    rig.land()
    assert rig.count("a") == 3


def test_an_entry_that_is_too_large_is_refused_and_changes_nothing() -> None:
    rig = owning(bounds=Bounds(entry_bytes_max=1_000))
    ticket = rig.send(add("a", text="x" * 1_000))
    rig.load_all()
    assert rig.reason(ticket) == "REASON_ENTRY_TOO_LARGE"
    assert rig.count("a") == 0
    assert not rig.owner.undurable


def test_a_journaled_refusal_that_is_too_large_is_refused_too() -> None:
    from .accounts import Accounts

    rig = owning(bounds=Bounds(entry_bytes_max=1_000), domain=Accounts(journals_refusals=True))
    ticket = rig.send(refuse("a", text="x" * 1_000))
    rig.load_all()
    assert rig.reason(ticket) == "REASON_ENTRY_TOO_LARGE"


def test_a_document_that_grows_too_large_is_refused() -> None:
    rig = owning(bounds=Bounds(entry_bytes_max=200_000, block_bytes_max=400_000))
    ticket = rig.send(add("a", note="x" * 70_000))
    rig.load_all()
    assert rig.reason(ticket) == "REASON_ENTRY_TOO_LARGE"


def test_a_refusal_of_size_waits_for_the_state_that_it_rests_on() -> None:
    rig = owning(bounds=Bounds(entry_bytes_max=1_000))
    sent(rig, "a")
    ticket = rig.send(add("a", text="x" * 1_000))
    assert ticket not in rig.replies
    rig.land()
    assert rig.reason(ticket) == "REASON_ENTRY_TOO_LARGE"


def test_a_block_has_the_clock_of_its_first_entry() -> None:
    rig = owning()
    rig.ask(append=True)
    rig.now_ms += 700
    first = rig.send(add("a"))
    rig.load_all()
    rig.now_ms += 700
    rig.send(add("a"))
    rig.flush()
    assert rig.block().time_ms == NOW_MS + 700
    rig.land()
    assert rig.outcome(first).time_ms == NOW_MS + 700


# ---- acknowledgements


def test_an_acknowledgement_below_the_expected_offset_is_an_alarm() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    block = rig.appends.pop()
    rig.give(AppendSucceeded(block.append_id, rig.owner.fold.offset))
    assert rig.owner.phase is OwnerPhase.ALARMED
    assert "below" in rig.alarm
    assert rig.reason(ticket) == "REASON_OUTCOME_UNKNOWN"


def test_a_gap_of_void_records_is_read_and_passed() -> None:
    rig = owning()
    rig.log.claimed_by_another(epoch=0)
    (ticket,) = sent(rig, "a")
    rig.land(skipping=2)
    assert ticket not in rig.replies
    rig.read()
    assert rig.reason(ticket) == ""
    assert rig.owner.phase is OwnerPhase.OWNING
    assert rig.done(add("a")).reason == ""


@pytest.mark.parametrize("failed", [False, True])
def test_only_the_first_answer_to_an_append_counts_while_its_block_is_looked_for(failed: bool) -> None:
    rig = owning()
    rig.log.claimed_by_another(epoch=0)
    (ticket,) = sent(rig, "a")
    append_id = rig.appends[-1].append_id
    rig.land(skipping=2)
    again = AppendFailed(append_id, certain=False) if failed else AppendSucceeded(append_id, rig.log.end - 1)
    rig.give(again)
    assert rig.owner.phase is OwnerPhase.OWNING
    rig.read()
    assert rig.reason(ticket) == ""
    assert rig.done(add("a")).reason == ""


def test_a_gap_with_a_higher_claim_means_that_nothing_was_applied() -> None:
    rig = owning()
    rig.log.claimed_by_another()
    (ticket,) = sent(rig, "a")
    waiting = rig.send(add("b"))
    asked = rig.ask(append=True)
    rig.land()
    rig.read()
    assert rig.owner.phase is OwnerPhase.DEPOSED
    assert rig.reason(ticket) == rig.reason(waiting) == "REASON_NOT_OWNER"
    assert rig.confirmed[asked] is False
    assert rig.count("a") == 0
    assert rig.log.folded().sequence == 0


def test_a_gap_is_read_again_until_it_ends_at_the_own_block() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    rig.log.claimed_by_another(epoch=0)
    block = rig.appends.pop()
    rig.give(AppendSucceeded(block.append_id, rig.log.end))
    rig.read()
    assert ticket not in rig.replies
    rig.log.append(block.data)
    rig.tick()
    rig.fail_read()
    rig.tick()
    rig.read()
    assert rig.reason(ticket) == ""


def test_a_block_that_is_not_where_it_was_acknowledged_is_an_alarm() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    block = rig.appends.pop()
    rig.log.claimed_by_another(epoch=0)
    offset = rig.log.claimed_by_another(epoch=0)
    rig.give(AppendSucceeded(block.append_id, offset))
    rig.read()
    assert "is not there" in rig.alarm
    assert rig.reason(ticket) == "REASON_OUTCOME_UNKNOWN"


def test_an_unknown_offset_is_looked_for_in_the_log() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    rig.land(known=False)
    assert ticket not in rig.replies
    rig.read()
    assert rig.reason(ticket) == ""


def test_a_negative_offset_is_an_unknown_one() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    block = rig.appends.pop()
    rig.log.append(block.data)
    rig.give(AppendSucceeded(block.append_id, -1))
    rig.read()
    assert rig.reason(ticket) == ""


def test_a_block_that_landed_twice_counts_once() -> None:
    rig = owning()
    sent(rig, "a")
    block = rig.appends[0]
    rig.land()
    rig.log.append(block.data)
    sent(rig, "a")
    rig.land()
    rig.read()
    assert rig.count("a") == 2
    assert rig.owner.phase is OwnerPhase.OWNING


@pytest.mark.parametrize("answer", [AppendSucceeded(999, 0), AppendFailed(999, certain=False)])
def test_answers_to_appends_long_gone_change_nothing(answer: AppendSucceeded | AppendFailed) -> None:
    rig = owning()
    rig.give(answer)
    assert rig.owner.phase is OwnerPhase.OWNING
    assert not rig.alarm


def test_an_unknown_offset_is_looked_for_until_it_is_found() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    block = rig.appends.pop()
    rig.give(AppendSucceeded(block.append_id, None))
    rig.log.claimed_by_another(epoch=0)
    rig.read()
    assert not rig.alarm
    rig.log.append(block.data)
    rig.tick()
    rig.read()
    assert rig.reason(ticket) == ""


# ---- a log that was cut


@pytest.mark.parametrize("told", ["nothing", "no offset"])
def test_a_log_cut_and_grown_again_to_where_its_owner_stands_is_noticed(told: str) -> None:
    rig = owning()
    assert rig.done(add("a")).reason == ""
    rig.log.records.pop()
    (ticket,) = sent(rig, "b")
    block = rig.doubt() if told == "nothing" else rig.appends.pop()
    rig.log.append(block.data)
    assert rig.log.end == rig.owner.fold.offset + 1, "there is nothing to read, and no offset to compare"
    if told == "no offset":
        rig.give(AppendSucceeded(block.append_id, None))
    rig.tick()
    rig.read()
    assert "was cut" in rig.alarm
    assert rig.reason(ticket) == "REASON_OUTCOME_UNKNOWN"


def test_claims_and_blocks_that_are_sent_again_take_a_new_producer_and_no_others_do() -> None:
    """What an earlier producer still holds must not land behind them; a new one for each block would cost time."""
    rig = Rig()
    rig.start()
    rig.read()
    assert rig.appends[0].fresh_producer
    rig.finish_taking_over()
    rig.send(add("a"))
    rig.load_all()
    rig.flush()
    assert not rig.appends[0].fresh_producer
    rig.fail_append(certain=True)
    rig.tick()
    assert rig.appends[0].fresh_producer
