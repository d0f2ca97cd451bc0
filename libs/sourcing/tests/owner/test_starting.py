"""Starting from a checkpoint; stores and logs that contradict each other."""

from __future__ import annotations

from dataclasses import replace

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Stored
from chapar_sourcing.fold import FoldState
from chapar_sourcing.owner import AppendSucceeded, OwnerPhase
from chapar_sourcing.ports import Checkpoint
from chapar_sourcing.positions import Position

from .accounts import account_key, add, fail_in
from .rig import JOURNAL_ID, NOW_MS, Rig, Shelf, owning, successor

# ---- starting from a checkpoint


def test_a_checkpoint_spares_reading_what_is_in_the_store() -> None:
    first = owning()
    first.done(add("a"))
    first.project()
    second = successor(first)
    second.take_over()
    assert second.count("a") is None
    assert second.done(add("a")).reason == ""
    assert second.count("a") == 2


def test_documents_ahead_of_the_checkpoint_are_not_changed_twice() -> None:
    first = owning()
    first.done(add("a"))
    first.project()
    first.done(add("a", events=2))
    first.done(add("b"))
    first.project(checkpoint=False)
    second = successor(first)
    second.take_over()
    assert second.count("a") == 3
    assert second.count("b") == 1


def test_a_document_in_the_middle_of_a_block_takes_the_rest_of_it() -> None:
    first = owning()
    first.done(add("a", events=3))
    whole = first.owner.position_of(account_key("a"))
    assert whole is not None
    batch = first.owner.take_projection(1_000)
    assert batch is not None
    first.shelf.documents[account_key("a")] = Stored(
        Position(whole.offset, 0), b"\x92\x01\xcf" + NOW_MS.to_bytes(8, "big")
    )
    second = successor(first)
    second.shelf.checkpoint = Checkpoint(JOURNAL_ID, 1, FoldState())
    second.take_over()
    assert second.count("a") == 3


def test_loads_during_replay_that_fail_are_asked_for_again() -> None:
    first = owning()
    first.done(add("a"))
    second = successor(first)
    second.start()
    second.read()
    second.fail_load()
    assert not second.appends
    second.tick()
    second.load()
    second.finish_taking_over()
    assert second.count("a") == 1


def _refused_at_start(shelf: Shelf, first: Rig) -> Rig:
    rig = successor(first)
    rig.shelf = shelf
    rig.start()
    if rig.reads:
        rig.read()
    return rig


def test_a_store_of_another_journal_is_refused() -> None:
    first = owning()
    checkpoint = Checkpoint("another", 1, first.owner.fold)
    assert "belongs to journal another" in _refused_at_start(Shelf(checkpoint=checkpoint), first).alarm


def test_a_store_of_another_generation_is_refused() -> None:
    first = owning()
    checkpoint = Checkpoint(JOURNAL_ID, 2, first.owner.fold)
    assert "generation 2" in _refused_at_start(Shelf(checkpoint=checkpoint), first).alarm


def test_a_store_ahead_of_the_log_is_refused() -> None:
    first = owning()
    first.done(add("a"))
    first.project()
    second = successor(first)
    second.start()
    second.fail_read(out_of_range=True)
    assert second.owner.phase is OwnerPhase.ALARMED
    assert "cut, or the store is newer" in second.alarm


def test_a_log_that_was_cut_to_before_the_checkpoint_is_noticed() -> None:
    first = owning()
    first.done(add("a"))
    first.project()
    first.log.records.pop()
    second = successor(first)
    second.start()
    second.read()
    assert second.owner.phase is OwnerPhase.ALARMED


def test_a_log_that_was_cut_and_grew_again_up_to_the_checkpoint_is_noticed() -> None:
    first = owning()
    first.done(add("a"))
    first.project()
    first.log.records.pop()
    first.log.claimed_by_another()
    second = successor(first)
    second.start()
    second.read()
    assert second.owner.phase is OwnerPhase.ALARMED
    assert "was cut" in second.alarm


def test_a_checkpoint_whose_last_record_is_void_is_checked_at_the_last_that_counts() -> None:
    first = owning()
    first.done(add("a"))
    first.log.claimed_by_another(epoch=0)
    second = successor(first)
    second.take_over()
    third = successor(second)
    third.shelf.checkpoint = Checkpoint(JOURNAL_ID, 1, replace(second.owner.fold))
    third.log.claimed_by_another(epoch=0)
    third.take_over()
    assert third.owner.epoch == 3


def test_a_claim_acknowledged_at_or_below_what_was_read_is_an_alarm() -> None:
    first = owning()
    first.done(add("a"))
    second = successor(first)
    second.start()
    second.read()
    second.load_all()
    claim = second.appends.pop()
    second.give(AppendSucceeded(claim.append_id, second.log.end - 1))
    assert "acknowledged at offset" in second.alarm


def test_a_claim_that_is_not_where_it_was_acknowledged_is_an_alarm() -> None:
    rig = Rig()
    rig.start()
    rig.read()
    claim = rig.appends.pop()
    offset = rig.log.claimed_by_another(epoch=0)
    rig.give(AppendSucceeded(claim.append_id, offset))
    rig.read()
    assert "is not there" in rig.alarm


def test_a_log_that_the_rules_cannot_follow_is_an_alarm_and_nothing_of_it_is_stored() -> None:
    for place in ("touches", "evolve"):
        first = owning()
        first.done(add("a"))
        block = journal.Record(
            block=journal.Block(
                epoch=1,
                writer=first.owner.fold.writer,
                sequence=2,
                previous_hash=first.owner.fold.hash,
                time_ms=NOW_MS,
                entries=[
                    journal.Entry(
                        request_id=bytes(16),
                        actor=journal.Actor(user="mallory"),
                        events=journal.Events(events=[_failing_event(place)]),
                    )
                ],
            )
        )
        first.log.append(block.SerializeToString())
        second = successor(first)
        second.start()
        second.read()
        second.load_all()
        assert second.owner.phase is OwnerPhase.ALARMED
        assert second.owner.fold.sequence == 1
        assert second.owner.take_projection(1_000) is None


def _failing_event(place: str) -> bytes:
    from .accounts import Accounts

    events = Accounts().decide({}, fail_in(place, "a"), NOW_MS)
    assert isinstance(events, list)
    return bytes(events[0].SerializeToString())


def test_an_event_that_cannot_be_read_is_an_alarm() -> None:
    first = owning()
    state = first.owner.fold
    entry = journal.Entry(request_id=bytes(16), actor=journal.Actor(user="m"), events=journal.Events(events=[b"\xff"]))
    block = journal.Block(
        epoch=1, writer=state.writer, sequence=1, previous_hash=state.hash, time_ms=NOW_MS, entries=[entry]
    )
    first.log.append(journal.Record(block=block).SerializeToString())
    second = successor(first)
    second.start()
    second.read()
    assert second.owner.phase is OwnerPhase.ALARMED


def test_a_stored_document_that_cannot_be_read_is_an_alarm() -> None:
    first = owning()
    first.done(add("a"))
    first.project()
    second = successor(first)
    second.take_over()
    waiting = second.send(add("a"))
    second.load()
    second.load(stored={account_key("a"): Stored(Position(1, 0), b"\xc1")})
    assert "cannot be read" in second.alarm
    assert second.reason(waiting) == "REASON_LOG_DAMAGED"
