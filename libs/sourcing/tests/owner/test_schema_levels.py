"""Schema levels: a release can be rolled back until an operator raises the level, and never hurts after that."""

from __future__ import annotations

import pytest

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.fold import FoldState, fold
from chapar_sourcing.owner import Applied, DocumentsLoaded, OwnerPhase
from chapar_sourcing.schema import schema_of

from .levels import Count, Counts, NewEvent, OldEvent, count_key, new_release, old_release, wish
from .rig import Rig, successor


def run(domain: Counts, *, after: Rig | None = None, level: int = 1) -> Rig:
    """A process that has taken over and owns, over the log and store of the one before."""
    rig = (
        Rig(domain=domain, schema_level=level) if after is None else successor(after, domain=domain, schema_level=level)
    )
    rig.take_over()
    return rig


def run_too_old(domain: Counts, *, after: Rig) -> Rig:
    """A process that has read the log and refused to claim."""
    rig = successor(after, domain=domain)
    rig.start()
    while rig.reads or rig.loads:
        if rig.reads:
            rig.read()
        else:
            rig.load()
    assert rig.owner.phase is OwnerPhase.OUTDATED
    return rig


def count(rig: Rig) -> int:
    document = rig.owner.peek(count_key("a"))[1]
    assert isinstance(document, Count)
    return document.count


def claimed_levels(rig: Rig) -> list[int]:
    """The levels of all claims in the log."""
    records = [journal.Record.FromString(record.data) for record in rig.log.records]
    return [record.claim.schema_level for record in records if record.HasField("claim")]


# ---- what a binary knows


def test_a_schema_is_read_off_the_options_of_events() -> None:
    assert (schema_of(OldEvent).supported, schema_of(NewEvent).supported) == (1, 2)
    assert schema_of(NewEvent).level_of(NewEvent(added="a")) == 1
    assert schema_of(NewEvent).level_of(NewEvent(doubled="a")) == 2


def test_the_level_of_a_log_is_the_highest_of_its_valid_claims() -> None:
    state = FoldState()
    for epoch, level, reached in ((1, 1, 1), (2, 3, 3), (2, 7, 3), (3, 2, 3), (4, 4, 4)):
        claim = journal.Claim(
            epoch=epoch, writer=bytes([epoch]) * 16, folded_offset=state.offset, folded_hash=state.hash,
            schema_level=level,
        )  # fmt: skip
        state, _, _ = fold(state, state.offset + 1, journal.Record(claim=claim).SerializeToString())
        assert state.schema_level == reached


# ---- events above the log's level


def test_a_new_event_is_refused_until_the_level_is_raised_and_nothing_is_written() -> None:
    rig = run(new_release())
    before = len(rig.log.records)
    outcome = rig.done(wish("doubled", "a"))
    assert (outcome.reason, outcome.detail) == ("REASON_SCHEMA_LEVEL_LOW", {"level": "1", "needed": "2"})
    assert len(rig.log.records) == before
    assert rig.done(wish("added", "a")).entry is not None


def test_the_same_command_is_accepted_once_the_level_is_raised() -> None:
    first = run(new_release())
    first.done(wish("added", "a"))
    command_id = first.new_id()
    assert first.done(wish("doubled", "a"), request_id=command_id).entry is None
    raised = run(new_release(), after=first, level=2)
    assert raised.done(wish("doubled", "a"), request_id=command_id).entry is not None
    assert count(raised) == 2


# ---- mixed releases


def test_a_new_release_that_was_not_raised_can_be_rolled_back() -> None:
    old = run(old_release())
    old.done(wish("added", "a"))
    new = run(new_release(), after=old)
    new.done(wish("added", "a"))
    again = run(old_release(), after=new)
    again.done(wish("added", "a"))
    assert count(again) == 3
    assert claimed_levels(again) == [1, 1, 1]


def test_a_raised_level_stays_without_the_setting() -> None:
    raised = run(new_release(), level=2)
    later = run(new_release(), after=raised)
    assert claimed_levels(later) == [2, 2]
    assert later.done(wish("doubled", "a")).entry is not None


@pytest.mark.parametrize("events", [[], ["added"], ["added", "doubled"]])
def test_an_old_release_leaves_a_raised_log_alone(events: list[str]) -> None:
    new = run(new_release(), level=2)
    for kind in events:
        new.done(wish(kind, "a"))
    before = len(new.log.records)
    old = run_too_old(old_release(), after=new)
    assert old.owner.outdated == "this binary knows level 1, the log is at 2: start a newer release"
    assert not old.alarm
    assert old.reason(old.send(wish("added", "a"))) == "REASON_NOT_OWNER"
    old.tick()
    old.flush()
    assert (old.appends, len(old.log.records)) == ([], before)
    assert old.owner.take_projection(1_000) is None


def test_an_old_release_leaves_a_raised_log_alone_that_its_checkpoint_tells_of() -> None:
    new = run(new_release(), level=2)
    new.done(wish("added", "a"))
    new.done(wish("doubled", "a"))
    while new.project():
        pass
    old = run_too_old(old_release(), after=new)
    assert old.reads == []


def test_an_old_release_refuses_who_waited_and_follows_a_raised_log_no_further() -> None:
    new = run(new_release(), level=2)
    new.done(wish("added", "a"))
    old = successor(new, domain=old_release())
    old.start()
    waiting = old.send(wish("added", "a"))
    old.read()
    assert (old.owner.phase, old.reason(waiting)) == (OwnerPhase.OUTDATED, "REASON_NOT_OWNER")
    old.give(DocumentsLoaded(99, {}))
    assert (old.loads, old.seen(Applied)) == ([], [])


def test_an_old_owner_is_deposed_by_the_one_that_raises_and_never_claims_again() -> None:
    old = run(old_release())
    old.done(wish("added", "a"))
    new = run(new_release(), after=old, level=2)
    ticket = old.send(wish("added", "a"))
    old.flush()
    old.land()
    while old.reads:
        old.read()
    assert old.owner.phase is OwnerPhase.DEPOSED
    assert old.reason(ticket) == "REASON_NOT_OWNER"
    assert not old.alarm
    run_too_old(old_release(), after=new)


def test_an_old_owner_in_doubt_gives_way_to_the_one_that_raised() -> None:
    old = run(old_release())
    old.send(wish("added", "a"))
    old.load_all()
    old.flush()
    old.doubt()
    new = run(new_release(), after=old, level=2)
    new.done(wish("doubled", "a"))
    old.tick()
    while old.reads:
        old.read()
    assert old.owner.phase is OwnerPhase.DEPOSED
    assert not old.alarm
