"""How an owner comes to own: checkpoint, reading to the end, claim, folding up to it; and who gives way."""

from __future__ import annotations

import pytest

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Stored
from chapar_sourcing.owner import (
    Append,
    AppendSucceeded,
    Applied,
    DocumentsLoaded,
    HeartbeatLapsed,
    OwnerPhase,
    PhaseChanged,
    Read,
    ReadFailed,
    RecordsRead,
)
from chapar_sourcing.positions import Position
from chapar_sourcing.refusing import NOT_OWNER

from .accounts import account_key, add
from .rig import Rig, owning, successor


def test_an_empty_log_is_claimed_with_the_first_epoch() -> None:
    rig = Rig()
    rig.start()
    rig.read()
    claim = journal.Record.FromString(rig.appends[0].data).claim
    assert (claim.epoch, claim.folded_offset, claim.folded_hash) == (1, -1, bytes(32))
    assert rig.owner.phase is OwnerPhase.CLAIMING
    rig.land()
    assert rig.owner.phase is OwnerPhase.SETTLING
    rig.read()
    assert rig.owner.phase is OwnerPhase.OWNING


def test_each_phase_is_told_with_the_epoch_of_the_latest_own_claim() -> None:
    rig = owning()
    rig.give(HeartbeatLapsed())
    rig.log.claimed_by_another()
    rig.tick()
    rig.read()
    assert [(told.phase.value, told.epoch) for told in rig.seen(PhaseChanged)] == [
        ("reading", 0), ("claiming", 1), ("settling", 1), ("owning", 1),
        ("doubtful", 1), ("reading", 1), ("deposed", 1),
    ]  # fmt: skip


def test_the_next_owner_claims_the_next_epoch_and_has_all_that_was_written() -> None:
    first = owning()
    for _ in range(3):
        first.done(add("a"))
    second = successor(first)
    second.take_over()
    assert second.owner.epoch == 2
    assert second.count("a") == 3
    assert second.done(add("a")).reason == ""
    assert second.count("a") == 4


def test_blocks_are_told_apart_by_whether_they_were_folded_at_a_take_over() -> None:
    first = owning()
    first.done(add("a"))
    second = successor(first)
    second.take_over()
    second.done(add("a"))
    assert [(told.offset, told.live) for told in second.seen(Applied)] == [(1, False), (3, True)]


def test_what_lands_between_reading_and_claim_is_folded_before_deciding() -> None:
    first = owning()
    second = successor(first)
    second.start()
    second.read()
    first.done(add("a"))
    second.finish_taking_over()
    assert second.count("a") == 1


def test_a_long_log_is_read_in_pieces() -> None:
    first = owning()
    for _ in range(5):
        first.done(add("a"))
    second = successor(first)
    second.start()
    for _ in range(3):
        second.read(records_max=2)
        second.load_all()
    assert second.owner.phase is OwnerPhase.CLAIMING
    second.finish_taking_over()
    assert second.count("a") == 5


def test_nothing_is_decided_before_the_own_claim_is_folded() -> None:
    rig = Rig()
    rig.start()
    ticket = rig.send(add("a"))
    rig.read()
    rig.land()
    rig.flush()
    assert ticket not in rig.replies
    assert not rig.appends
    assert not rig.loads
    rig.read()
    rig.load_all()
    rig.flush()
    rig.land()
    assert rig.reason(ticket) == ""


def test_a_claim_that_came_second_backs_off() -> None:
    first, second = Rig(), Rig(writers="x")
    second.log = first.log
    for rig in (first, second):
        rig.start()
        rig.read()
    waiting = second.send(add("a"))
    first.land()
    second.land()
    second.read()
    assert second.owner.phase is OwnerPhase.DEPOSED
    assert second.reason(waiting) == "REASON_NOT_OWNER"
    first.read()
    assert first.owner.phase is OwnerPhase.OWNING


def test_a_claim_is_given_up_when_another_claims_right_after_it() -> None:
    rig = Rig()
    rig.start()
    rig.read()
    rig.land()
    rig.log.claimed_by_another()
    rig.read()
    assert rig.owner.phase is OwnerPhase.DEPOSED


def test_a_claim_without_an_offset_is_looked_for_in_the_log() -> None:
    rig = Rig()
    rig.start()
    rig.read()
    append = rig.appends.pop()
    rig.give(AppendSucceeded(append.append_id, None))
    rig.read()
    assert rig.owner.phase is OwnerPhase.SETTLING
    rig.tick()
    rig.log.append(append.data)
    rig.read()
    assert rig.owner.phase is OwnerPhase.OWNING


def test_a_claim_of_unknown_fate_is_made_again_with_a_new_writer() -> None:
    rig = Rig()
    rig.start()
    rig.read()
    lost = rig.fail_append(certain=False)
    assert rig.owner.phase is OwnerPhase.DOUBTFUL
    rig.tick()
    rig.log.append(lost.data)
    rig.read()
    again = journal.Record.FromString(rig.appends[0].data).claim
    assert again.epoch == 2
    assert again.writer != journal.Record.FromString(lost.data).claim.writer
    rig.finish_taking_over()
    assert rig.owner.epoch == 2


def test_a_claim_of_unknown_fate_that_lands_after_the_next_one_is_void() -> None:
    rig = Rig()
    rig.start()
    rig.read()
    lost = rig.fail_append(certain=False)
    rig.tick()
    rig.finish_taking_over()
    rig.log.append(lost.data)
    ticket = rig.send(add("a"))
    rig.load_all()
    rig.flush()
    rig.land()
    rig.read()
    assert rig.reason(ticket) == ""
    assert rig.owner.phase is OwnerPhase.OWNING
    assert rig.count("a") == 1


def test_an_own_claim_that_lands_late_and_first_makes_the_next_one_void() -> None:
    rig = Rig()
    rig.start()
    rig.read()
    lost = rig.fail_append(certain=False)
    rig.tick()
    rig.read()
    rig.log.append(lost.data)
    rig.land()
    rig.read()
    assert rig.owner.phase is OwnerPhase.DEPOSED


def test_who_claimed_without_an_answer_gives_way_to_who_claimed_meanwhile() -> None:
    rig = Rig()
    rig.start()
    rig.read()
    rig.fail_append(certain=False)
    rig.log.claimed_by_another()
    rig.tick()
    rig.read()
    assert rig.owner.phase is OwnerPhase.DEPOSED
    assert not rig.appends


def test_a_claim_that_certainly_failed_is_made_again_after_reading_on() -> None:
    rig = Rig()
    rig.start()
    rig.read()
    failed = rig.fail_append(certain=True)
    assert not rig.appends
    rig.tick()
    rig.read()
    assert rig.appends[0].append_id != failed.append_id
    assert rig.appends[0].fresh_producer
    rig.finish_taking_over()
    assert rig.owner.epoch == 1


def test_a_read_that_fails_is_tried_again_on_a_tick_once() -> None:
    rig = Rig()
    rig.start()
    asked = rig.reads[0]
    rig.fail_read()
    assert not rig.reads
    rig.tick()
    rig.tick()
    assert rig.reads == [asked]
    rig.finish_taking_over()


@pytest.mark.parametrize("reading", [False, True])
@pytest.mark.parametrize("failed", [False, True])
def test_answers_to_reads_that_nobody_waits_for_change_nothing(reading: bool, failed: bool) -> None:
    rig = owning()
    records, phase = list(rig.log.records), OwnerPhase.OWNING
    if reading:
        rig, phase = successor(rig), OwnerPhase.READING
        rig.start()
    rig.give(ReadFailed(999, out_of_range=True) if failed else RecordsRead(999, records, at_end=True))
    assert (rig.owner.phase, rig.alarm) == (phase, "")
    rig.finish_taking_over()
    assert rig.done(add("a")).reason == ""


def test_each_read_begins_after_what_was_folded() -> None:
    first = owning()
    first.done(add("a"))
    second = successor(first)
    second.take_over()
    reads = second.seen(Read)
    assert [read.from_offset for read in reads] == [0, second.log.end - 1]


def test_only_the_first_read_after_a_checkpoint_begins_with_what_was_folded() -> None:
    first = owning()
    first.done(add("a"))
    first.project()
    folded = first.owner.fold.offset
    second = successor(first)
    second.take_over()
    assert [read.from_offset for read in second.seen(Read)] == [folded, folded + 1]


# ---- the end


def test_a_deposed_owner_refuses_everything() -> None:
    rig = owning()
    rig.log.claimed_by_another()
    rig.send(add("a"))
    rig.load_all()
    rig.flush()
    rig.land()
    rig.read()
    assert rig.owner.phase is OwnerPhase.DEPOSED
    ticket = rig.send(add("a"))
    assert rig.reason(ticket) == "REASON_NOT_OWNER"
    assert rig.confirmed[rig.ask(append=True)] is False


def test_an_alarmed_owner_decides_nothing_more() -> None:
    rig = owning()
    waiting = rig.send(add("a"))
    rig.load_all()
    rig.flush()
    next_one = rig.send(add("a"))
    asked = rig.ask(append=True)
    block = rig.appends.pop()
    rig.give(AppendSucceeded(block.append_id, 0))
    assert rig.owner.phase is OwnerPhase.ALARMED
    assert rig.reason(waiting) == "REASON_OUTCOME_UNKNOWN"
    assert rig.reason(next_one) == "REASON_LOG_DAMAGED"
    assert rig.confirmed[asked] is False
    assert rig.reason(rig.send(add("a"))) == "REASON_LOG_DAMAGED"
    rig.flush()
    rig.tick()
    assert not rig.appends
    assert len(rig.seen(Append)) == 2


def test_an_alarmed_owner_does_not_send_again_what_failed() -> None:
    rig = owning()
    ticket = rig.send(add("a"))
    rig.load_all()
    rig.flush()
    rig.send(add("b"))
    rig.fail_append(certain=True)
    rig.load(stored={account_key("b"): Stored(Position(0, 0), b"\xc1")})
    assert rig.reason(ticket) == "REASON_OUTCOME_UNKNOWN"
    rig.tick()
    assert not rig.appends


def test_a_deposed_owner_follows_its_successor_no_further() -> None:
    first = owning()
    rig = successor(first)
    rig.start()
    rig.read()
    rig.land()
    third = successor(rig)
    third.take_over()
    third.done(add("a"))
    rig.read()
    assert rig.owner.phase is OwnerPhase.DEPOSED
    rig.give(DocumentsLoaded(99, {}))
    assert not rig.loads
    assert not rig.seen(Applied)


def test_an_alarmed_owner_follows_the_log_no_further() -> None:
    first = owning()
    first.done(add("a"))
    first.done(add("b"))
    rig = successor(first)
    rig.start()
    rig.read()
    rig.load(stored={account_key("a"): Stored(Position(0, 0), b"\xc1")})
    assert rig.owner.phase is OwnerPhase.ALARMED
    rig.give(DocumentsLoaded(99, {}))
    assert not rig.seen(Applied)
    assert not rig.loads
    assert not rig.owner.undurable


# ---- a store that knows more


def test_an_owner_that_loads_what_another_wrote_decides_nothing_from_it() -> None:
    sleeper = owning()
    other = successor(sleeper)
    other.take_over()
    other.done(add("a"))
    assert other.project()
    ticket = sleeper.send(add("a"))
    sleeper.load()
    assert sleeper.owner.phase is OwnerPhase.DOUBTFUL
    sleeper.flush()
    assert not sleeper.appends
    sleeper.tick()
    sleeper.read()
    assert sleeper.owner.phase is OwnerPhase.DEPOSED
    assert sleeper.reason(ticket) == NOT_OWNER


def test_a_store_that_knows_of_more_than_the_log_has_is_an_alarm() -> None:
    rig = owning()
    rig.send(add("a"))
    rig.load(stored={account_key("a"): Stored(Position(1_000, 0), None)})
    assert rig.owner.phase is OwnerPhase.DOUBTFUL
    rig.tick()
    rig.read()
    rig.land()
    rig.read()
    assert rig.owner.phase is OwnerPhase.ALARMED
    assert "offset 1000" in rig.alarm


def test_nothing_is_decided_from_what_another_wrote_while_a_block_is_sought() -> None:
    rig = owning()
    found = rig.send(add("a"))
    rig.load_all()
    rig.flush()
    rig.land(known=False)
    ticket = rig.send(add("b"))
    rig.load(stored={account_key("b"): Stored(Position(1_000, 0), None)})
    assert (rig.owner.phase, rig.owner.waiting, rig.count("b")) == (OwnerPhase.OWNING, 1, None)
    rig.log.claimed_by_another()
    rig.read()
    assert (rig.reason(found), rig.reason(ticket)) == ("", NOT_OWNER)


def test_who_loads_its_own_block_before_it_knows_of_it_claims_anew_and_asks_again() -> None:
    """A store that is built from the log may be ahead of an owner that waits for its acknowledgement."""
    rig = owning()
    first = rig.send(add("a"))
    rig.load_all()
    rig.flush()
    offset = rig.land(tell=False)
    second = rig.send(add("b"))
    rig.shelf.documents[account_key("b")] = Stored(Position(offset, 0), None)
    rig.load()
    assert rig.owner.phase is OwnerPhase.DOUBTFUL
    rig.tick()
    rig.finish_taking_over()
    rig.load_all()
    rig.flush()
    rig.land()
    assert (rig.reason(first), rig.reason(second), rig.alarm) == ("", "", "")


def test_an_entry_of_nobody_is_an_alarm() -> None:
    first = owning()
    first.send(add("a"))
    first.load_all()
    first.flush()
    record = journal.Record.FromString(first.appends.pop().data)
    record.block.entries[0].ClearField("actor")
    first.log.append(record.SerializeToString())
    second = successor(first)
    second.start()
    second.read()
    second.load_all()
    assert second.owner.phase is OwnerPhase.ALARMED
    assert "must say who it is" in second.alarm
