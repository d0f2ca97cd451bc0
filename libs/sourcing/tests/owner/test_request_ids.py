"""Idempotency: what an owner makes of a request id, whoever made it and whenever."""

from __future__ import annotations

import pytest

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.owner import OwnerPhase
from chapar_sourcing.requests import derived_request_id, make_request_id, parse_request_id, request_time_ms

from .accounts import Accounts, account_key, add, nothing, refuse
from .rig import NOW_MS, Rig, owning, successor

DAY_MS = 24 * 3600 * 1000
REACTOR = journal.Actor(service="payments/3")


def taken_over(first: Rig) -> Rig:
    """Everything is in the store; another owner has taken over from there."""
    while first.project():
        pass
    second = successor(first)
    second.take_over()
    return second


def test_a_repetition_in_flight_waits_and_gets_the_same_answer() -> None:
    rig = owning()
    request_id = rig.new_id()
    first = rig.send(add("a"), request_id=request_id)
    rig.load_all()
    pending = rig.send(add("a"), request_id=request_id)
    rig.flush()
    in_flight = rig.send(add("a"), request_id=request_id)
    assert not rig.replies
    rig.land()
    told = [rig.outcome(ticket) for ticket in (first, pending, in_flight)]
    assert [outcome.replayed for outcome in told] == [False, True, True]
    assert {outcome.position for outcome in told} == {told[0].position}
    assert rig.count("a") == 1


def test_a_repetition_of_a_durable_command_gets_its_answer_after_confirmation() -> None:
    rig = owning()
    request_id = rig.new_id()
    first = rig.done(add("a"), request_id=request_id)
    again = rig.send(add("a"), request_id=request_id)
    reply = rig.replies[again]
    assert reply.needs_confirmation
    assert reply.outcome.replayed
    assert (reply.outcome.position, reply.outcome.time_ms) == (first.position, first.time_ms)
    assert rig.count("a") == 1


def test_a_repetition_is_answered_after_a_takeover_from_the_log() -> None:
    first = owning()
    request_id = first.new_id()
    told = first.done(add("a"), request_id=request_id)
    second = successor(first)
    second.take_over()
    again = second.done(add("a"), request_id=request_id)
    assert (again.position, again.replayed) == (told.position, True)


def test_a_repetition_is_answered_after_a_takeover_from_the_store() -> None:
    first = owning()
    request_id = first.new_id()
    told = first.done(add("a", events=2), request_id=request_id)
    second = taken_over(first)
    ticket = second.send(add("a", events=2), request_id=request_id)
    assert ticket not in second.replies
    assert [key.kind for key in second.loads[0].keys] == ["answer"]
    second.load()
    again = second.replies[ticket]
    assert again.needs_confirmation
    assert (again.outcome.position, again.outcome.time_ms, again.outcome.replayed) == (
        told.position,
        told.time_ms,
        True,
    )
    assert told.entry is not None
    assert again.outcome.entry == told.entry


def test_the_store_is_asked_once_for_all_copies_of_an_id() -> None:
    first = owning()
    first.done(add("a"))
    early = first.new_id(NOW_MS)
    second = taken_over(first)
    tickets = [second.send(add("b"), request_id=early) for _ in range(3)]
    assert len(second.loads) == 1
    second.load_all()
    second.flush()
    second.land()
    assert [second.outcome(ticket).replayed for ticket in tickets] == [False, True, True]
    assert second.count("b") == 1


def test_memory_is_asked_again_after_the_store() -> None:
    first = owning()
    first.done(add("a"))
    second = taken_over(first)
    request_id = second.new_id(NOW_MS)
    tickets = [second.send(add("b"), request_id=request_id)]
    answers = second.loads.pop(0)
    second.loads.append(answers)
    second.load()
    second.load()
    second.flush()
    tickets.append(second.send(add("b"), request_id=request_id))
    second.land()
    assert [second.outcome(ticket).replayed for ticket in tickets] == [False, True]
    assert second.count("b") == 1


def test_an_id_of_after_the_checkpoint_is_new_without_asking() -> None:
    first = owning()
    first.done(add("a"))
    second = taken_over(first)
    second.now_ms += 5_001
    second.send(nothing("b"), request_id=second.new_id(NOW_MS + 5_001))
    assert [key.kind for load in second.loads for key in load.keys] == ["account"]
    second.load_all()
    second.send(nothing("b"), request_id=second.new_id(NOW_MS + 5_000))
    assert [key.kind for load in second.loads for key in load.keys] == ["answer"]


def test_an_id_taken_late_into_a_block_is_not_new_to_the_next_owner() -> None:
    """The block's clock may be older than the clock at which the id was judged."""
    first = owning()
    first.send(add("a"))
    first.load_all()
    first.now_ms += 4_000
    ahead = first.new_id(first.now_ms + 5_000)
    first.send(add("a"), request_id=ahead)
    while first.owner.undurable:
        first.flush()
        first.land()
    assert first.count("a") == 2
    second = taken_over(first)
    again = second.done(add("a"), request_id=ahead)
    assert again.replayed
    assert second.log.folded().sequence == first.log.folded().sequence


def test_an_id_from_the_future_is_refused_with_the_servers_time() -> None:
    rig = owning()
    assert rig.done(add("a"), request_id=rig.new_id(NOW_MS + 5_000)).reason == ""
    ticket = rig.send(add("a"), request_id=rig.new_id(NOW_MS + 5_001))
    assert rig.reason(ticket) == "REASON_REQUEST_ID_IN_FUTURE"
    assert rig.outcome(ticket).detail == {"server_time_ms": str(NOW_MS)}
    assert rig.replies[ticket].needs_confirmation


def test_an_old_id_is_refused() -> None:
    rig = owning()
    assert rig.done(add("a"), request_id=rig.new_id(NOW_MS - 30 * DAY_MS)).reason == ""
    ticket = rig.send(add("a"), request_id=rig.new_id(NOW_MS - 30 * DAY_MS - 1))
    assert rig.reason(ticket) == "REASON_REQUEST_EXPIRED"
    assert rig.replies[ticket].needs_confirmation


def test_an_old_id_that_was_answered_keeps_its_answer() -> None:
    rig = owning()
    request_id = rig.new_id()
    first = rig.done(add("a"), request_id=request_id)
    rig.now_ms += 31 * DAY_MS
    assert rig.done(add("a"), request_id=request_id).position == first.position


def test_no_id_is_too_old_where_answers_are_kept() -> None:
    rig = owning(domain=Accounts(keeps_answers=True))
    assert rig.done(add("a"), request_id=rig.new_id(NOW_MS - 400 * DAY_MS)).reason == ""


def test_a_reactor_that_is_behind_or_ahead_loses_no_effect() -> None:
    rig = owning()
    for time_ms in (NOW_MS - 90 * DAY_MS, NOW_MS + 3_600_000):
        request_id = derived_request_id(time_ms, "reaction", "stream", "3", "17", "0", "0")
        outcome = rig.done(add("a"), request_id=request_id, actor=REACTOR)
        assert outcome.reason == ""
    assert rig.count("a") == 2


def test_a_reactors_id_from_the_future_is_not_new_to_the_next_owner() -> None:
    first = owning()
    request_id = derived_request_id(NOW_MS + 3_600_000, "reaction", "stream", "3", "17", "0", "0")
    told = first.done(add("a"), request_id=request_id, actor=REACTOR)
    second = taken_over(first)
    again = second.done(add("a"), request_id=request_id, actor=REACTOR)
    assert (again.replayed, again.position) == (True, told.position)


def test_ids_of_two_actors_never_meet() -> None:
    rig = owning()
    request_id = rig.new_id()
    actors = [journal.Actor(user="a"), journal.Actor(user="b"), journal.Actor(operator="a"), journal.Actor(service="a")]
    for actor in actors:
        assert not rig.done(add("a"), request_id=request_id, actor=actor).replayed
    assert rig.count("a") == len(actors)


# ---- other content


def test_other_content_under_the_same_id_is_refused() -> None:
    rig = owning()
    request_id = rig.new_id()
    rig.done(add("a"), request_id=request_id)
    ticket = rig.send(add("a", events=2), request_id=request_id)
    assert rig.reason(ticket) == "REASON_REQUEST_ID_REUSED"
    assert rig.replies[ticket].needs_confirmation


def test_other_content_is_refused_only_once_the_first_is_durable() -> None:
    rig = owning()
    request_id = rig.new_id()
    first = rig.send(add("a"), request_id=request_id)
    rig.load_all()
    rig.flush()
    other = rig.send(add("a", events=2), request_id=request_id)
    assert other not in rig.replies
    rig.land()
    assert rig.reason(first) == ""
    assert rig.reason(other) == "REASON_REQUEST_ID_REUSED"


def test_the_other_content_of_an_undone_command_may_be_the_one_that_counts() -> None:
    rig = owning()
    request_id = rig.new_id()
    first = rig.send(add("a"), request_id=request_id, deadline_ms=NOW_MS + 1_000)
    rig.load_all()
    rig.flush()
    other = rig.send(add("a", events=2), request_id=request_id)
    rig.doubt()
    rig.now_ms = rig.heartbeat_ms = NOW_MS + 2_000
    rig.tick()
    rig.finish_taking_over()
    rig.flush()
    rig.land()
    assert rig.reason(first) == "REASON_DEADLINE_PASSED"
    assert rig.reason(other) == ""
    assert rig.count("a") == 2


def test_content_under_another_key_is_left_to_the_shell_to_compare() -> None:
    rig = owning()
    request_id = rig.new_id()
    rig.send(add("a"), request_id=request_id, key_id="k1")
    rig.load_all()
    rig.flush()
    waiting = rig.send(add("a"), request_id=request_id, key_id="k2")
    rig.land()
    durable = rig.send(add("a"), request_id=request_id, key_id="k3")
    for ticket in (waiting, durable):
        outcome = rig.outcome(ticket)
        assert outcome.unchecked
        assert outcome.replayed
        assert outcome.entry is not None
        assert outcome.entry.content_key_id == "k1"


# ---- refusals


def test_a_journaled_refusal_is_the_same_for_ever() -> None:
    first = owning(domain=Accounts(journals_refusals=True))
    request_id = first.new_id()
    told = first.done(refuse("a"), request_id=request_id)
    assert told.entry is not None
    assert (told.entry.refusal.reason, told.entry.refusal.detail["count"]) == ("REASON_NO", "0")
    first.done(add("a"))
    again = first.done(refuse("a"), request_id=request_id)
    assert again.entry == told.entry
    second = successor(first, domain=Accounts(journals_refusals=True))
    second.take_over()
    after = second.done(refuse("a"), request_id=request_id)
    assert (after.entry, after.replayed) == (told.entry, True)


def test_an_unjournaled_refusal_is_judged_anew() -> None:
    rig = owning()
    request_id = rig.new_id()
    assert rig.done(refuse("a"), request_id=request_id).detail == {"count": "0", "text": ""}
    rig.done(add("a"))
    again = rig.done(refuse("a"), request_id=request_id)
    assert (again.detail, again.replayed) == ({"count": "1", "text": ""}, False)
    assert not rig.owner.undurable


def test_answers_are_stored_before_the_checkpoint_that_covers_them() -> None:
    rig = owning()
    request_id = rig.new_id()
    rig.done(add("a"), request_id=request_id)
    batch = rig.owner.take_projection(1_000)
    assert batch is not None
    assert {write.key.kind for write in batch.documents} == {"account", "answer"}
    assert account_key("a") in {write.key for write in batch.documents}
    assert batch.checkpoint.fold == rig.owner.fold
    assert rig.owner.phase is OwnerPhase.OWNING


# ---- the ids themselves


@pytest.mark.parametrize(
    "text",
    [
        "",
        "018bcfe5-6800-4000-8000-000000000001",
        "018bcfe5-6800-7000-c000-000000000001",
        "018BCFE5-6800-7000-8000-000000000001",
        "018bcfe568007000800000000000000a",
        "{018bcfe5-6800-7000-8000-000000000001}",
    ],
)
def test_only_canonical_ids_of_version_seven_are_taken(text: str) -> None:
    assert parse_request_id(text) is None


def test_an_id_says_when_it_was_made() -> None:
    assert parse_request_id("018bcfe5-6800-7000-8000-000000000001") == bytes.fromhex("018bcfe5680070008000000000000001")
    assert request_time_ms(make_request_id(NOW_MS, b"x" * 10)) == NOW_MS
