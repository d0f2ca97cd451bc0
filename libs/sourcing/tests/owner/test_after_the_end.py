"""An owner that has ended: everybody was told once, and what comes late changes nothing."""

from __future__ import annotations

import pytest

from chapar_sourcing.fold import FoldState
from chapar_sourcing.owner import AlarmRaised, DocumentsLoaded, OwnerPhase, Tick
from chapar_sourcing.ports import Checkpoint

from .accounts import add
from .reminders import Reminders, remind
from .rig import NOW_MS, Rig, Shelf, owning


def deposed(rig: Rig) -> Rig:
    """Another's claim is in the log, and the owner reads it when its next block lands beyond."""
    rig.log.claimed_by_another()
    rig.ask(append=True)
    rig.flush()
    rig.land()
    rig.read()
    assert rig.owner.phase is OwnerPhase.DEPOSED
    return rig


def test_whoever_waited_is_told_once() -> None:
    """The deadline of somebody who was let go passes later; the rig refuses a second answer."""
    rig = owning()
    loading = rig.send(add("a"), deadline_ms=NOW_MS + 10)
    deposed(rig)
    assert rig.reason(loading) == "REASON_NOT_OWNER"
    rig.now_ms += 10
    rig.tick()
    assert rig.owner.waiting == 0


def test_whoever_waited_for_a_turn_is_told_once() -> None:
    rig = owning()
    rig.log.claimed_by_another()
    rig.ask(append=True)
    rig.flush()
    rig.land()
    rig.give(Tick(rig.heartbeat_ms, clock_is_off=True))
    waiting = rig.send(add("a"), deadline_ms=NOW_MS + 10)
    rig.read()
    assert rig.reason(waiting) == "REASON_NOT_OWNER"
    rig.now_ms += 10
    rig.tick()
    assert rig.owner.waiting == 0


def test_documents_that_come_late_are_passed_over() -> None:
    rig = owning()
    rig.send(add("a"))
    asked = rig.loads.pop()
    deposed(rig)
    rig.give(DocumentsLoaded(asked.load_id, {}))
    assert (rig.owner.phase, rig.alarm, rig.owner.resident) == (OwnerPhase.DEPOSED, "", 0)


def test_nothing_is_asked_for_again() -> None:
    rig = owning()
    rig.send(add("a"))
    rig.fail_load()
    deposed(rig)
    rig.tick()
    assert not rig.loads


@pytest.mark.parametrize("waits", ["for ever", "too long"])
def test_being_let_go_rests_on_nothing_and_needs_no_confirmation(waits: str) -> None:
    """Whoever no longer is the owner could not give one."""
    rig = owning()
    ticket = rig.send(add("a"), deadline_ms=NOW_MS + 10)
    if waits == "too long":
        rig.now_ms += 10
        rig.tick()
    else:
        deposed(rig)
    assert not rig.replies[ticket].needs_confirmation


def test_who_ended_before_its_first_claim_names_no_epoch() -> None:
    rig = Rig(log=owning().log, shelf=Shelf(checkpoint=Checkpoint("another journal", 1, FoldState())))
    rig.start()
    assert rig.owner.phase is OwnerPhase.ALARMED
    assert rig.owner.epoch == 0


def test_an_alarm_from_outside_ends_it_like_one_of_its_own() -> None:
    rig = owning()
    ticket = rig.send(add("a"))
    rig.give(AlarmRaised("the store is of another log"))
    assert (rig.owner.phase, rig.alarm) == (OwnerPhase.ALARMED, "the store is of another log")
    assert rig.reason(ticket) == "REASON_LOG_DAMAGED"


def test_no_timer_is_made_a_command_and_none_is_read() -> None:
    rig = owning(domain=Reminders())
    rig.done(remind("a", NOW_MS + 10))
    deposed(rig)
    rig.now_ms += 10
    rig.tick()
    assert rig.owner.waiting == 0
    assert not rig.pages
