"""Appends that fail, whose fate is not known, and what is taken back and decided again."""

from __future__ import annotations

import pytest

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.owner import Append, AppendFailed, AppendSucceeded, HeartbeatLapsed, OwnerPhase

from .accounts import add, note_key
from .rig import NOW_MS, Rig, owning, successor


def sent(rig: Rig, *names: str) -> list[int]:
    """Commands to these accounts, decided and sent in one block."""
    tickets = [rig.send(add(name)) for name in names]
    rig.load_all()
    rig.flush()
    return tickets


# ---- certain failure


def test_a_block_that_certainly_failed_is_sent_again_as_it_was() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    failed = rig.fail_append(certain=True)
    assert ticket not in rig.replies
    rig.tick()
    rig.tick()
    (again,) = rig.appends
    assert (again.data, again.fresh_producer) == (failed.data, True)
    assert again.append_id != failed.append_id
    rig.land()
    assert rig.reason(ticket) == ""
    assert rig.owner.epoch == 1


# ---- unknown outcome


def test_without_a_fresh_heartbeat_a_doubtful_owner_does_nothing() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    rig.doubt()
    later = rig.send(add("b"))
    rig.now_ms += 5_001
    rig.tick()
    rig.flush()
    assert rig.owner.phase is OwnerPhase.DOUBTFUL
    assert not rig.reads
    assert not rig.appends
    assert ticket not in rig.replies
    assert later not in rig.replies
    rig.heartbeat_ms = rig.now_ms
    rig.tick()
    assert rig.owner.phase is OwnerPhase.READING


def test_a_sleeper_does_not_claim_with_the_heartbeat_of_before_its_sleep() -> None:
    rig = owning()
    sent(rig, "a")
    rig.doubt()
    rig.tick()
    assert rig.owner.phase is OwnerPhase.READING
    rig.now_ms += 60_000
    rig.read()
    assert rig.owner.phase is OwnerPhase.DOUBTFUL
    assert not rig.appends
    rig.tick()
    assert not rig.reads
    rig.heartbeat_ms = rig.now_ms
    rig.tick()
    rig.finish_taking_over()


def test_a_heartbeat_is_judged_by_the_own_clock_not_by_the_time_of_the_log() -> None:
    ahead = owning()
    ahead.now_ms += 3_600_000
    ahead.done(add("a"))
    rig = successor(ahead)
    rig.now_ms = rig.heartbeat_ms = NOW_MS
    rig.take_over()
    sent(rig, "a")
    rig.doubt()
    rig.now_ms += 5_000
    rig.tick()
    assert rig.owner.phase is OwnerPhase.READING


def test_a_doubtful_block_that_landed_is_acknowledged() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    lost = rig.doubt()
    rig.log.append(lost.data)
    rig.tick()
    rig.finish_taking_over()
    assert rig.reason(ticket) == ""
    assert rig.count("a") == 1
    assert rig.owner.epoch == 2


def test_a_doubtful_block_that_lands_before_the_next_claim_is_acknowledged() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    lost = rig.doubt()
    rig.tick()
    rig.read()
    assert ticket not in rig.replies
    rig.log.append(lost.data)
    rig.finish_taking_over()
    assert rig.reason(ticket) == ""
    assert rig.count("a") == 1


def test_a_doubtful_block_is_decided_anew_once_the_next_claim_is_folded() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    lost = rig.doubt()
    rig.tick()
    rig.finish_taking_over()
    rig.flush()
    again = rig.block()
    assert again.epoch == 2
    assert again.entries[0].request_id == journal.Record.FromString(lost.data).block.entries[0].request_id
    rig.log.append(lost.data)
    rig.land()
    rig.read()
    assert rig.reason(ticket) == ""
    assert rig.count("a") == 1
    assert rig.log.folded().sequence == 1


def test_a_doubtful_owner_steps_down_before_a_higher_claim() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    next_one = rig.send(add("a"))
    lost = rig.doubt()
    rig.log.claimed_by_another()
    rig.log.append(lost.data)
    rig.tick()
    rig.read()
    assert rig.owner.phase is OwnerPhase.DEPOSED
    assert rig.reason(ticket) == rig.reason(next_one) == "REASON_NOT_OWNER"
    assert len(rig.seen(Append)) == 2


def test_a_doubtful_block_that_landed_before_a_higher_claim_is_acknowledged() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    lost = rig.doubt()
    rig.log.append(lost.data)
    rig.log.claimed_by_another()
    rig.tick()
    rig.read()
    assert rig.owner.phase is OwnerPhase.DEPOSED
    assert rig.reason(ticket) == ""


def test_the_block_after_a_doubtful_one_that_landed_is_kept() -> None:
    rig = owning()
    sent(rig, "a")
    next_one = rig.send(add("a"))
    lost = rig.doubt()
    rig.log.append(lost.data)
    rig.tick()
    rig.read()
    assert rig.owner.phase is OwnerPhase.CLAIMING
    rig.flush()
    assert len(rig.appends) == 1
    rig.finish_taking_over()
    rig.flush()
    assert rig.block().epoch == 2
    rig.land()
    assert rig.reason(next_one) == ""
    assert rig.count("a") == 2


def test_a_doubt_about_the_claim_of_a_doubt_ends_the_same_way() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    rig.doubt()
    rig.tick()
    rig.read()
    lost_claim = rig.fail_append(certain=False)
    assert rig.owner.phase is OwnerPhase.DOUBTFUL
    rig.tick()
    rig.read()
    assert ticket not in rig.replies
    rig.land()
    rig.log.append(lost_claim.data)
    rig.read()
    assert rig.owner.phase is OwnerPhase.OWNING
    rig.flush()
    rig.land()
    assert rig.reason(ticket) == ""
    assert rig.count("a") == 1


def test_a_sleeper_does_not_send_a_failed_claim_again() -> None:
    rig = owning()
    sent(rig, "a")
    rig.doubt()
    rig.tick()
    rig.read()
    rig.fail_append(certain=True)
    rig.now_ms += 60_000
    rig.tick()
    assert not rig.appends
    rig.heartbeat_ms = rig.now_ms
    rig.tick()
    rig.finish_taking_over()


def test_the_next_claim_is_folded_up_to_however_long_that_takes() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    lost = rig.doubt()
    rig.tick()
    rig.read()
    rig.log.claimed_by_another(epoch=0)
    rig.log.append(lost.data)
    rig.land()
    rig.read(records_max=1)
    assert rig.owner.phase is OwnerPhase.SETTLING
    assert ticket not in rig.replies
    rig.finish_taking_over()
    assert rig.reason(ticket) == ""


def test_an_own_claim_of_before_the_last_one_deposes_nobody() -> None:
    rig = owning()
    sent(rig, "a")
    rig.doubt()
    rig.tick()
    rig.read()
    first_claim = rig.fail_append(certain=False)
    rig.tick()
    rig.read()
    rig.fail_append(certain=False)
    rig.log.append(first_claim.data)
    rig.tick()
    rig.finish_taking_over()
    assert rig.owner.epoch == 3


def test_a_failure_of_the_block_that_is_told_while_the_next_claim_is_on_its_way_changes_nothing() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    rig.give(HeartbeatLapsed())
    rig.tick()
    rig.read()
    assert rig.owner.phase is OwnerPhase.CLAIMING
    rig.fail_append(certain=False)
    assert rig.owner.phase is OwnerPhase.CLAIMING, "the claim still comes, and another would be void or make it so"
    rig.finish_taking_over()
    rig.flush()
    rig.land()
    assert (rig.reason(ticket), rig.owner.epoch) == ("", 2)


def test_an_acknowledgement_of_the_block_is_not_taken_for_that_of_the_next_claim() -> None:
    rig = owning()
    (ticket,) = sent(rig, "a")
    rig.give(HeartbeatLapsed())
    rig.tick()
    rig.read()
    rig.land()
    assert rig.owner.phase is OwnerPhase.CLAIMING
    rig.finish_taking_over()
    assert (rig.reason(ticket), rig.owner.epoch, rig.alarm) == ("", 2, "")


@pytest.mark.parametrize("failed", [False, True])
def test_only_the_first_answer_to_a_claim_counts(failed: bool) -> None:
    rig = owning()
    append_id = rig.seen(Append)[0].append_id
    rig.give(AppendFailed(append_id, certain=False) if failed else AppendSucceeded(append_id, 0))
    assert (rig.owner.phase, rig.alarm) == (OwnerPhase.OWNING, "")


# ---- undo


def test_undo_takes_back_both_blocks_and_their_new_documents() -> None:
    rig = owning()
    rig.done(add("a"))
    rig.send(add("a", note="one"))
    rig.flush()
    rig.send(add("a", note="two"))
    rig.send(add("new"))
    rig.load_all()
    assert rig.count("a") == 3
    rig.doubt()
    rig.tick()
    rig.log.claimed_by_another()
    rig.read()
    assert rig.count("a") == 1
    assert rig.count("new") == 0
    assert rig.owner.peek(note_key("a", 2)) == (False, None)
    assert rig.owner.peek(note_key("a", 3)) == (False, None)


def test_what_was_undone_is_decided_again_in_its_order() -> None:
    rig = owning()
    tickets = sent(rig, "a", "a")
    tickets.append(rig.send(add("a")))
    rig.doubt()
    tickets.append(rig.send(add("a")))
    rig.tick()
    rig.finish_taking_over()
    rig.flush()
    rig.land()
    places = [rig.outcome(ticket).position for ticket in tickets]
    assert [place.event_index for place in places if place] == [0, 1, 2, 3]
    assert rig.count("a") == 4


def test_a_document_that_arrives_after_an_undo_is_what_the_store_has() -> None:
    first = owning()
    first.done(add("a", note="kept"))
    first.project()
    rig = successor(first)
    rig.take_over()
    sent(rig, "b")
    rig.send(add("a"))
    rig.doubt()
    rig.tick()
    rig.read()
    rig.load_all()
    rig.finish_taking_over()
    rig.load_all()
    rig.flush()
    rig.land()
    assert rig.count("a") == 2
    assert rig.count("b") == 1


def test_a_repetition_of_what_was_undone_is_decided_once() -> None:
    rig = owning()
    request_id = rig.new_id()
    first = rig.send(add("a"), request_id=request_id)
    rig.load_all()
    rig.flush()
    again = rig.send(add("a"), request_id=request_id)
    rig.doubt()
    rig.tick()
    rig.finish_taking_over()
    rig.flush()
    rig.land()
    assert rig.count("a") == 1
    assert [rig.outcome(ticket).replayed for ticket in (first, again)] == [False, True]
    assert rig.outcome(first).position == rig.outcome(again).position
