"""What leaves an owner's memory, what must stay, and that nothing is decided otherwise because of it."""

from __future__ import annotations

import pytest

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Key, Stored
from chapar_sourcing.owner import Bounds, DocumentsLoaded, OwnerPhase

from .accounts import account_key, add, need_all, note_key, nothing, unpin
from .rig import NOW_MS, Rig, owning, successor

REACTOR = journal.Actor(service="payments/3")
HOUR_MS = 3_600_000
FEW = Bounds(documents_max=2, answers_max=2)
NONE = Bounds(documents_max=0, answers_max=0)


def projected(rig: Rig) -> None:
    """Everything durable is in the store, and the owner knows."""
    while rig.project():
        pass


def settled(rig: Rig) -> None:
    """The same, and sweeps have come by twice, so that nothing counts as used lately."""
    projected(rig)
    rig.tick()
    rig.tick()


def known(rig: Rig, *names: str) -> list[str]:
    """The accounts among `names` that memory knows; asking counts as use."""
    return [name for name in names if rig.owner.peek(account_key(name))[0]]


# ---- documents


def test_documents_leave_only_at_or_below_the_confirmed_checkpoint() -> None:
    rig = owning(bounds=FEW)
    for name in "abcde":
        rig.done(add(name))
    rig.tick()
    rig.tick()
    assert rig.owner.resident == 5
    settled(rig)
    assert rig.owner.resident == 2
    assert rig.owner.eviction.documents_evicted == 3


def test_a_document_that_left_is_loaded_again_and_goes_on_from_there() -> None:
    rig = owning(bounds=NONE)
    rig.done(add("a"))
    settled(rig)
    assert known(rig, "a") == []
    outcome = rig.done(add("a"))
    assert not outcome.reason
    assert rig.count("a") == 2


def test_known_absences_and_deletions_leave_too() -> None:
    rig = owning(bounds=NONE)
    rig.done(add("a", note="n"))
    rig.done(unpin("a", 1))
    rig.done(nothing("absent"))
    assert rig.owner.peek(note_key("a", 1)) == (True, None)
    assert rig.owner.peek(account_key("absent")) == (True, None)
    settled(rig)
    assert rig.owner.resident == 0
    assert list(rig.owner.group("note", "a")) == []
    assert list(rig.owner.parents("account")) == []


def test_what_was_used_lately_stays_and_the_others_leave() -> None:
    rig = owning(bounds=FEW)
    for name in "abcdef":
        rig.done(add(name))
    rig.tick()
    known(rig, "b", "e")
    settled(rig)
    assert known(rig, *"abcdef") == ["b", "e"]


def test_a_document_with_undurable_changes_stays() -> None:
    rig = owning(bounds=NONE)
    rig.done(add("a"))
    projected(rig)
    in_flight = rig.send(add("a"))
    rig.load_all()
    rig.flush()
    pending = rig.send(add("b"))
    rig.load_all()
    settled(rig)
    assert known(rig, "a", "b") == ["a", "b"]
    rig.land()
    rig.flush()
    rig.land()
    assert [rig.reason(ticket) for ticket in (in_flight, pending)] == ["", ""]
    settled(rig)
    assert known(rig, "a", "b") == []


def test_undoing_puts_a_document_back_that_could_have_left() -> None:
    rig = owning(bounds=NONE)
    rig.done(add("a"))
    projected(rig)
    ticket = rig.send(add("a"))
    rig.load_all()
    rig.flush()
    lost = rig.doubt()
    settled(rig)
    rig.finish_taking_over()
    assert lost.data not in [record.data for record in rig.log.records]
    rig.load_all()
    rig.flush()
    rig.land()
    assert rig.reason(ticket) == ""
    assert rig.count("a") == 2


def test_a_command_that_needs_more_than_memory_may_hold_is_decided() -> None:
    rig = owning(bounds=FEW)
    names = [f"n{i}" for i in range(10)]
    for name in names:
        rig.done(add(name))
    settled(rig)
    ticket = rig.send(need_all(names))
    for _ in range(10):
        if not rig.loads:
            break
        rig.tick()
        rig.load()
        rig.tick()
    rig.flush()
    rig.land()
    assert rig.reason(ticket) == ""
    settled(rig)
    assert rig.owner.resident == 2


def test_what_a_command_has_loaded_stays_while_it_waits_for_the_rest() -> None:
    rig = owning(bounds=Bounds(documents_max=0))
    rig.done(add("a"))
    projected(rig)
    ticket = rig.send(need_all(["a", "b"]))
    for _ in range(3):
        rig.tick()
    rig.load()
    assert not rig.loads, "nothing is missing any more"
    rig.flush()
    rig.land()
    assert rig.reason(ticket) == ""


def test_what_changed_while_it_was_loaded_stays_until_the_load_is_answered() -> None:
    rig = owning(bounds=NONE)
    rig.done(nothing("a"))
    asked = rig.send(unpin("a", 1))
    stale = rig.loads.pop()
    assert stale.keys == (note_key("a", 1),)
    rig.done(add("a", note="n"))
    settled(rig)
    assert rig.owner.peek(note_key("a", 1))[1] is not None, "the store said less to the load that is on its way"
    rig.give(DocumentsLoaded(stale.load_id, {}))
    rig.load_all()
    rig.flush()
    rig.land()
    assert rig.reason(asked) == ""
    settled(rig)
    assert rig.owner.resident == 0


def test_a_load_that_failed_keeps_the_floor_until_it_is_asked_again() -> None:
    rig = owning(bounds=NONE)
    rig.done(add("a"))
    projected(rig)
    floor = rig.owner.eviction.floor()
    rig.send(add("b"))
    rig.fail_load()
    rig.done(add("a"))
    projected(rig)
    assert rig.owner.eviction.floor() == floor
    rig.tick()
    assert rig.loads[0].at_least == rig.owner.confirmed_checkpoint
    assert rig.owner.eviction.floor() == rig.owner.confirmed_checkpoint


def test_what_changed_while_somebody_reads_stays_until_they_have_read() -> None:
    rig = owning(bounds=NONE)
    rig.done(add("a"))
    settled(rig)
    with rig.owner.pinned():
        rig.done(add("a"))
        rig.done(add("b"))
        settled(rig)
        assert known(rig, "a", "b") == ["a", "b"]
        with rig.owner.pinned():
            pass
        settled(rig)
        assert known(rig, "a", "b") == ["a", "b"]
    settled(rig)
    assert known(rig, "a", "b") == []


def test_a_crowd_far_beyond_the_bounds_leaves_within_a_few_sweeps() -> None:
    rig = owning(bounds=FEW)
    for number in range(1_200):
        rig.send(nothing(f"n{number}"))
    while rig.owner.undurable or rig.loads:
        rig.load_all()
        rig.flush()
        rig.land()
    assert (rig.owner.resident, rig.owner.answers_held) == (1_200, 1_200)
    settled(rig)
    rig.tick()
    assert (rig.owner.resident, rig.owner.answers_held) == (2, 2)


# ---- taking over


@pytest.mark.parametrize("records_max", [3, 500])
def test_a_log_longer_than_memory_is_taken_over_within_the_bounds(records_max: int) -> None:
    first = owning()
    for round_ in range(4):
        for number in range(20):
            first.done(add(f"n{number}", note=f"{round_}"))
    bounds = Bounds(documents_max=5, answers_max=5, unprojected_max=20)
    second = successor(first, bounds=bounds)
    second.start()
    most = rests = 0
    for _ in range(10_000):
        if second.owner.phase is OwnerPhase.OWNING:
            break
        if second.loads:
            second.load()
        elif second.reads:
            second.read(records_max=records_max)
        elif second.appends:
            second.land()
        else:
            rests += 1
            assert second.project(documents_max=7)
        most = max(most, second.owner.resident)
    assert second.owner.phase is OwnerPhase.OWNING
    assert rests, "it rested until the store had caught up"
    assert most <= bounds.documents_max + bounds.unprojected_max + 5
    settled(second)
    assert second.owner.resident <= 5
    assert second.owner.answers_held <= 5
    for number in range(20):
        assert second.done(add(f"n{number}")).reason == ""
        projected(second)
        second.load_all()
        assert second.count(f"n{number}") == 5


# ---- answers


def test_answers_leave_in_the_order_of_the_log_below_the_confirmed_checkpoint() -> None:
    rig = owning(bounds=FEW)
    ids = [rig.new_id() for _ in range(5)]
    for request_id in ids:
        rig.done(add("a"), request_id=request_id)
    rig.tick()
    assert rig.owner.answers_held == 5
    settled(rig)
    assert rig.owner.answers_held == 2
    assert rig.owner.eviction.answers_evicted == 3
    for request_id in ids[3:]:
        ticket = rig.send(add("a"), request_id=request_id)
        assert rig.outcome(ticket).replayed, "memory has it"
        assert not rig.loads


def test_answers_leave_by_the_age_of_their_block() -> None:
    bounds = Bounds(answers_kept_ms=60_000)
    rig = owning(bounds=bounds)
    rig.done(add("a"))
    rig.now_ms += 60_001
    rig.done(add("a"))
    settled(rig)
    assert rig.owner.answers_held == 1
    rig.now_ms += HOUR_MS
    settled(rig)
    assert rig.owner.answers_held == 1, "the log's clock stands"


def test_a_late_retry_is_answered_from_the_store_after_its_answer_left() -> None:
    rig = owning(bounds=NONE)
    request_id = rig.new_id()
    first = rig.done(add("a"), request_id=request_id)
    settled(rig)
    assert rig.owner.answers_held == 0
    rig.now_ms += HOUR_MS
    copies = [rig.send(add("a"), request_id=request_id) for _ in range(3)]
    assert [key.kind for load in rig.loads for key in load.keys] == ["answer"], "the store is asked once for all copies"
    rig.load()
    for copy in copies:
        outcome = rig.outcome(copy)
        assert (outcome.replayed, outcome.position, outcome.time_ms) == (True, first.position, first.time_ms)
    projected(rig)
    assert rig.owner.answers_held == 0, "what the store said is not kept"


def test_another_content_under_an_id_whose_answer_left_is_refused() -> None:
    rig = owning(bounds=NONE)
    request_id = rig.new_id()
    rig.done(add("a"), request_id=request_id)
    settled(rig)
    assert rig.done(add("b"), request_id=request_id).reason == "REASON_REQUEST_ID_REUSED"


def test_new_ids_are_decided_without_the_store_when_answers_left_long_ago() -> None:
    rig = owning(bounds=NONE)
    rig.done(add("a"))
    settled(rig)
    rig.now_ms += 10_001
    rig.send(add("b"))
    assert [key.kind for load in rig.loads for key in load.keys] == ["account"]


def test_ids_within_the_margin_of_what_left_are_looked_up() -> None:
    rig = owning(bounds=NONE)
    rig.done(add("a"))
    settled(rig)
    rig.now_ms += 1
    rig.send(add("b"), request_id=rig.new_id(NOW_MS + 5_000))
    rig.send(add("b"), request_id=rig.new_id(NOW_MS + 5_001))
    assert [key.kind for load in rig.loads for key in load.keys] == ["answer", "account"]


def test_a_phone_an_hour_fast_that_retries_after_its_answer_left_is_not_believed() -> None:
    rig = owning(bounds=NONE)
    fast = rig.new_id(NOW_MS + HOUR_MS)
    refused = rig.done(add("a"), request_id=fast)
    assert refused.reason == "REASON_REQUEST_ID_IN_FUTURE"
    ahead = rig.new_id(NOW_MS + 4_999)
    first = rig.done(add("a"), request_id=ahead)
    settled(rig)
    rig.now_ms += 2 * HOUR_MS
    again = rig.done(add("a"), request_id=ahead)
    assert (again.replayed, again.position) == (True, first.position)
    assert rig.done(add("a"), request_id=fast).reason == "", "it never was decided: by now its time has come"
    settled(rig)
    assert rig.done(add("a"), request_id=fast).replayed
    rig.load_all()
    assert rig.done(nothing("a")).reason == ""
    assert rig.count("a") == 2


def test_ids_of_reactors_are_looked_up_once_answers_have_left() -> None:
    rig = owning(bounds=NONE)
    request_id = rig.new_id(NOW_MS + HOUR_MS)
    first = rig.done(add("a"), request_id=request_id, actor=REACTOR)
    settled(rig)
    again = rig.done(add("a"), request_id=request_id, actor=REACTOR)
    assert (again.replayed, again.position) == (True, first.position)


def test_an_id_that_is_looked_up_while_its_original_is_decided_and_leaves_is_not_decided_twice() -> None:
    """The look-up stalls; a copy with another content needs other documents, and overtakes it."""
    rig = owning(bounds=NONE)
    rig.done(add("z"))
    settled(rig)
    request_id = rig.new_id()
    original = rig.send(add("a"), request_id=request_id)
    other = rig.send(add("b"), request_id=request_id)
    rig.load()
    needs_a, needs_b = rig.loads
    rig.loads.clear()
    rig.give(DocumentsLoaded(needs_a.load_id, {}))
    rig.flush()
    rig.land()
    assert rig.reason(original) == ""
    settled(rig)
    assert rig.owner.answers_held == 1, "somebody asked the store before it was decided"
    rig.give(DocumentsLoaded(needs_b.load_id, {}))
    assert rig.reason(other) == "REASON_REQUEST_ID_REUSED"
    settled(rig)
    assert rig.owner.answers_held == 0


def test_an_id_that_waits_for_its_turn_after_a_look_up_keeps_the_answers_that_came_since() -> None:
    rig = owning(bounds=Bounds(documents_max=0, answers_max=0, entries_max=1))
    rig.done(add("a"))
    settled(rig)
    request_id = rig.new_id()
    copies = [rig.send(add("a"), request_id=request_id) for _ in range(2)]
    between = [rig.send(add("a"), request_id=rig.new_id(NOW_MS + 1)) for _ in range(2)]
    ordered = [copies[0], *between, copies[1]]
    assert len(rig.loads) == 3
    rig.load_all()
    for _ in range(6):
        rig.flush()
        if rig.appends:
            rig.land()
        settled(rig)
        rig.load_all()
    assert [rig.reason(ticket) for ticket in ordered] == [""] * 4
    assert rig.outcome(copies[1]).replayed
    assert rig.done(nothing("a")).reason == ""
    assert rig.count("a") == 4


def test_a_take_over_knows_what_left_before_it() -> None:
    first = owning(bounds=NONE)
    request_id = first.new_id()
    told = first.done(add("a"), request_id=request_id)
    settled(first)
    second = successor(first, bounds=NONE)
    second.take_over()
    assert second.done(add("a"), request_id=request_id).position == told.position


def test_a_stored_document_that_is_ahead_stays_until_the_checkpoint_has_come_there() -> None:
    first = owning()
    first.done(add("a"))
    first.project(checkpoint=False)
    second = successor(first, bounds=NONE)
    second.take_over()
    key = Key("account", "a")
    assert second.owner.peek(key)[0]
    assert second.owner.position_of(key) == first.owner.position_of(key)
    assert isinstance(second.shelf.documents[key], Stored)
    second.tick()
    second.tick()
    assert second.owner.peek(key)[0]
    settled(second)
    assert not second.owner.peek(key)[0]


def test_what_a_block_that_is_replayed_changes_stays_until_the_rest_of_it_is_loaded() -> None:
    """Otherwise it could wait for one of its documents after the other for ever."""
    first = owning()
    first.done(add("a"))
    first.done(add("a", note="x"))
    rig = successor(first, bounds=Bounds(documents_max=0))
    rig.start()
    rig.read()
    rig.load()
    rig.fail_load()
    assert rig.project()
    for _ in range(3):
        rig.tick()
    assert rig.count("a") == 1
    rig.load()
    assert not rig.loads
    rig.finish_taking_over()
    assert rig.count("a") == 2
