"""Waiting rooms and their bounds, deadlines, refusals of state, rules that fail."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import DOCUMENT_BYTES_MAX, encode
from chapar_sourcing.owner import Bounds, CommandReceived
from chapar_sourcing.owner.deciding import TooLarge, encoded

from .accounts import Accounts, Note, add, fail_in, hole, need_all, nothing, refuse
from .rig import NOW_MS, Rig, owning, successor


def test_a_full_waiting_room_refuses() -> None:
    rig = owning(bounds=Bounds(waiting_max=2))
    waiting = [rig.send(add(name)) for name in ("a", "b")]
    assert rig.owner.waiting == 2
    assert rig.reason(rig.send(add("a"))) == "REASON_OVERLOADED"
    rig.load_all()
    assert rig.owner.waiting == 0
    rig.flush()
    rig.land()
    assert [rig.reason(ticket) for ticket in waiting] == ["", ""]


def test_the_waiting_room_counts_everybody_once() -> None:
    rig = owning(bounds=Bounds(entries_max=1))
    tickets = [rig.send(add(name), deadline_ms=NOW_MS + 1_000 + n) for n, name in enumerate("abab")]
    assert rig.owner.waiting == 4
    rig.load()
    assert rig.owner.waiting == 3
    rig.load()
    assert rig.owner.waiting == 3
    rig.now_ms += 1_003
    rig.tick()
    assert rig.owner.waiting == 0
    assert [rig.reason(ticket) for ticket in tickets] == [None, *["REASON_DEADLINE_PASSED"] * 3]


def test_repetitions_that_wait_for_a_block_are_bounded_too() -> None:
    rig = owning(bounds=Bounds(waiting_max=3))
    request_id = rig.new_id()
    rig.send(add("a"), request_id=request_id)
    rig.load_all()
    rig.flush()
    tickets = [rig.send(add("a"), request_id=request_id) for _ in range(4)]
    assert [rig.reason(ticket) for ticket in tickets] == [None, None, None, "REASON_OVERLOADED"]
    rig.land()
    assert [rig.reason(ticket) for ticket in tickets[:3]] == ["", "", ""]
    assert rig.owner.waiting == 0


def test_refusals_that_wait_for_a_block_are_bounded_too() -> None:
    rig = owning(bounds=Bounds(waiting_max=2))
    rig.send(add("a"))
    rig.load_all()
    rig.flush()
    tickets = [rig.send(refuse("a")) for _ in range(3)]
    assert [rig.reason(ticket) for ticket in tickets] == [None, None, "REASON_OVERLOADED"]
    rig.land()
    assert [rig.reason(ticket) for ticket in tickets[:2]] == ["REASON_NO", "REASON_NO"]


def test_commands_are_refused_while_the_store_is_too_far_behind() -> None:
    rig = owning(bounds=Bounds(unprojected_max=4))
    rig.done(add("a"))
    rig.done(add("b"))
    assert rig.owner.backlog == 4
    assert rig.reason(rig.send(add("a"))) == "REASON_OVERLOADED"
    rig.project()
    assert rig.owner.backlog == 0
    assert rig.done(add("a")).reason == ""


def test_a_take_over_rests_while_the_store_is_as_far_behind_as_it_may_be() -> None:
    first = owning()
    first.done(add("a"))
    first.done(add("b"))
    rig = successor(first, bounds=Bounds(unprojected_max=2))
    rig.start()
    rig.read()
    rig.load()
    assert (rig.owner.backlog, rig.count("a"), rig.loads) == (2, 1, [])
    rig.project()
    rig.load()
    rig.project()
    rig.finish_taking_over()
    assert (rig.count("b"), rig.owner.backlog) == (1, 0)


def test_a_batch_on_its_way_counts_as_behind() -> None:
    rig = owning(bounds=Bounds(unprojected_max=2))
    rig.done(add("a"))
    assert rig.owner.take_projection(1) is not None
    assert rig.reason(rig.send(add("a"))) == "REASON_OVERLOADED"


def test_what_cannot_make_its_deadline_is_dropped_before_it_is_decided() -> None:
    rig = owning()
    ticket = rig.send(add("a"), deadline_ms=NOW_MS)
    assert rig.reason(ticket) == "REASON_DEADLINE_PASSED"
    waiting = rig.send(add("a"), deadline_ms=NOW_MS + 10)
    rig.now_ms += 10
    rig.load_all()
    assert rig.reason(waiting) == "REASON_DEADLINE_PASSED"
    assert rig.count("a") == 0
    assert not rig.owner.undurable


def test_a_deadline_is_judged_by_the_own_clock_not_by_the_time_of_the_log() -> None:
    ahead = owning()
    ahead.now_ms += 3_600_000
    ahead.done(add("a"))
    rig = successor(ahead)
    rig.now_ms = NOW_MS
    rig.take_over()
    assert rig.done(add("a"), deadline_ms=NOW_MS + 400).reason == ""


def test_whoever_waits_for_a_document_is_let_go_at_the_deadline() -> None:
    rig = owning()
    ticket = rig.send(add("a"), deadline_ms=NOW_MS + 10)
    rig.now_ms += 10
    rig.tick()
    assert rig.reason(ticket) == "REASON_DEADLINE_PASSED"
    rig.load_all()
    assert rig.count("a") == 0


def test_a_decided_command_is_not_dropped() -> None:
    rig = owning()
    ticket = rig.send(add("a"), deadline_ms=NOW_MS + 10)
    rig.load_all()
    rig.flush()
    rig.now_ms += 1_000
    rig.tick()
    assert ticket not in rig.replies
    rig.land()
    assert rig.reason(ticket) == ""


# ---- loading


def test_commands_that_need_a_loading_document_share_the_load() -> None:
    rig = owning()
    tickets = [rig.send(add("a")) for _ in range(3)]
    assert len(rig.loads) == 1
    rig.load()
    rig.flush()
    rig.land()
    assert [rig.reason(ticket) for ticket in tickets] == ["", "", ""]
    assert rig.count("a") == 3


def test_a_load_that_fails_is_asked_for_again_on_a_tick() -> None:
    rig = owning()
    ticket = rig.send(add("a"))
    rig.fail_load()
    assert not rig.loads
    rig.tick()
    rig.tick()
    assert len(rig.loads) == 1, "once for each failure"
    rig.load()
    rig.flush()
    rig.land()
    assert rig.reason(ticket) == ""


def test_loads_demand_what_was_confirmed() -> None:
    first = owning()
    first.done(add("a"))
    first.project()
    first.send(add("b"))
    assert first.loads[0].at_least == first.owner.confirmed_checkpoint == first.owner.fold.offset


def test_a_document_of_the_store_does_not_replace_the_one_in_memory() -> None:
    rig = owning()
    rig.done(add("a", note="x"))
    rig.send(need_all(["b", "c"]))
    asked = rig.loads[0]
    assert [key.parent for key in asked.keys] == ["b", "c"]
    rig.done(add("a"))
    assert rig.count("a") == 2


# ---- refusals of state


def test_a_refusal_that_rests_on_undurable_state_waits_for_it() -> None:
    rig = owning()
    rig.send(add("a"))
    rig.load_all()
    rig.flush()
    ticket = rig.send(refuse("a"))
    assert ticket not in rig.replies
    rig.land()
    assert rig.outcome(ticket).detail == {"count": "1", "text": ""}
    assert rig.replies[ticket].needs_confirmation


def test_a_refusal_that_rests_on_a_block_that_is_undone_is_judged_anew() -> None:
    rig = owning()
    doomed = rig.send(add("a"), deadline_ms=NOW_MS + 10)
    rig.load_all()
    rig.flush()
    ticket = rig.send(refuse("a"))
    rig.doubt()
    rig.now_ms = rig.heartbeat_ms = NOW_MS + 10
    rig.tick()
    rig.finish_taking_over()
    assert rig.reason(doomed) == "REASON_DEADLINE_PASSED"
    assert rig.outcome(ticket).detail == {"count": "0", "text": ""}


def test_a_refusal_that_rests_on_durable_state_needs_only_confirmation() -> None:
    rig = owning()
    ticket = rig.send(refuse("a"))
    rig.load_all()
    assert rig.replies[ticket].needs_confirmation
    assert not rig.owner.undurable


def test_a_hole_is_never_journaled() -> None:
    rig = owning(domain=Accounts(journals_refusals=True))
    ticket = rig.send(hole("a"))
    rig.load_all()
    assert rig.reason(ticket) == "REASON_CREATION_HOLE"
    assert not rig.owner.undurable


# ---- rules that fail


@pytest.mark.parametrize("place", ["needs", "decide", "touches", "evolve"])
def test_a_failing_rule_is_reported_and_changes_nothing(place: str) -> None:
    rig = owning()
    rig.done(add("a"))
    ticket = rig.send(fail_in(place, "a"))
    outcome = rig.outcome(ticket)
    assert outcome.reason == "BUG"
    assert f"{place} fails" in str(outcome.bug)
    assert rig.count("a") == 1
    assert not rig.owner.undurable
    assert rig.done(add("a")).reason == ""
    assert rig.count("a") == 2


def test_a_failing_rule_leaves_the_block_as_it_was() -> None:
    rig = owning()
    good = rig.send(add("a"))
    rig.load_all()
    rig.send(fail_in("evolve", "a"))
    rig.flush()
    assert len(rig.block().entries) == 1
    rig.land()
    assert rig.reason(good) == ""


def test_needing_too_many_documents_is_a_bug() -> None:
    rig = owning(bounds=Bounds(needs_max=2))
    ticket = rig.send(need_all(["a", "b", "c"]))
    assert rig.reason(ticket) == "BUG"
    assert not rig.loads


# ---- bounds to the byte


def test_an_entry_may_be_as_large_as_its_bound() -> None:
    size = _entry_bytes(owning())
    assert _entry_bytes(owning(bounds=Bounds(entry_bytes_max=size))) == size
    rig = owning(bounds=Bounds(entry_bytes_max=size - 1))
    assert rig.done(add("a", text="text")).reason == "REASON_ENTRY_TOO_LARGE"


def _entry_bytes(rig: Rig) -> int:
    entry = rig.done(add("a", text="text")).entry
    assert entry is not None
    return entry.ByteSize()


def test_a_document_may_be_as_large_as_its_bound() -> None:
    frame = len(encode(Note("x" * 60_000))) - 60_000
    largest = Note("x" * (DOCUMENT_BYTES_MAX - frame))
    assert encoded(largest) == encode(largest)
    with pytest.raises(TooLarge):
        encoded(Note(largest.text + "x"))


def test_small_entries_fill_a_block_no_further_than_its_bound() -> None:
    """What frames an entry counts, too."""
    rig = owning(bounds=Bounds(block_bytes_max=2_000))
    for _ in range(60):
        rig.send(nothing("a"))
    rig.load_all()
    rig.flush()
    assert 1_700 < journal.Block(entries=rig.block().entries).ByteSize() <= 2_000


def test_an_entry_that_is_larger_than_a_block_may_be_has_one_for_itself() -> None:
    rig = owning(bounds=Bounds(block_bytes_max=1_000, entry_bytes_max=4_000))
    assert rig.done(add("a", text="x" * 2_000)).reason == ""
    assert rig.count("a") == 1


def test_an_accepted_command_without_events_is_not_mistaken_for_a_refused_one() -> None:
    rig = owning()
    entry = rig.done(nothing("a")).entry
    assert entry is not None
    assert entry.WhichOneof("outcome") == "events"


# ---- sealed content


def test_what_was_sealed_too_early_is_made_again() -> None:
    rig = owning()
    for late_ms, reason in ((-1, None), (0, "SEALED_TOO_EARLY")):
        command = replace(rig.command(add("a")), sealed_until_ms=NOW_MS - late_ms)
        rig.give(CommandReceived(command))
        assert rig.reason(command.ticket) == reason


def test_a_repetition_is_answered_however_long_ago_it_was_sealed() -> None:
    rig = owning()
    request_id = rig.new_id()
    first = rig.done(add("a"), request_id=request_id)
    again = replace(rig.command(add("a"), request_id=request_id), sealed_until_ms=NOW_MS)
    rig.give(CommandReceived(again))
    assert (rig.outcome(again.ticket).replayed, rig.outcome(again.ticket).position) == (True, first.position)
