"""An owner whose clock cannot be trusted neither claims nor decides, and goes on once it is right again."""

from __future__ import annotations

from chapar_sourcing.owner import AlarmRaised, OwnerPhase, Tick

from .accounts import add
from .reminders import Reminders, remind
from .rig import NOW_MS, Rig, owning


def tick(rig: Rig, *, off: bool) -> None:
    """Time has passed, and the clock is off or right."""
    rig.give(Tick(rig.heartbeat_ms, clock_is_off=off))


def test_commands_wait_until_it_is_right() -> None:
    rig = owning()
    rig.done(add("a"))
    tick(rig, off=True)
    ticket = rig.send(add("a"))
    rig.flush()
    assert (rig.owner.waiting, rig.appends) == (1, [])
    tick(rig, off=False)
    rig.flush()
    rig.land()
    assert rig.reason(ticket) == ""


def test_documents_that_arrive_meanwhile_decide_nothing() -> None:
    rig = owning()
    rig.send(add("a"))
    tick(rig, off=True)
    rig.load_all()
    assert not rig.owner.undurable
    tick(rig, off=False)
    assert rig.owner.undurable


def test_nothing_is_claimed_until_it_is_right_and_the_log_is_read_on_first() -> None:
    rig = Rig()
    rig.start()
    tick(rig, off=True)
    rig.read()
    assert (rig.owner.phase, rig.appends, rig.reads) == (OwnerPhase.READING, [], [])
    tick(rig, off=True)
    assert not rig.reads
    tick(rig, off=False)
    tick(rig, off=False)
    assert len(rig.reads) == 1, "what landed meanwhile is read, once"
    rig.finish_taking_over()
    assert rig.done(add("a")).reason == ""


def test_who_ended_while_a_claim_waited_reads_no_further() -> None:
    rig = Rig()
    rig.start()
    tick(rig, off=True)
    rig.read()
    rig.give(AlarmRaised("damaged"))
    tick(rig, off=False)
    assert (rig.owner.phase, rig.reads) == (OwnerPhase.ALARMED, [])


def test_no_timer_fires() -> None:
    rig = owning(domain=Reminders())
    rig.done(remind("a", NOW_MS + 10))
    rig.now_ms += 10
    tick(rig, off=True)
    assert (rig.owner.waiting, rig.pages) == (0, [])


def test_an_owner_that_drains_decides_what_waited_for_its_clock() -> None:
    rig = owning()
    rig.done(add("a"))
    tick(rig, off=True)
    rig.send(add("a"))
    rig.tick(draining=True)
    assert rig.owner.undurable


def test_an_empty_block_has_the_clock_of_the_newest_block() -> None:
    """Readers are told the truth by it all the same; its time is one that was believed."""
    rig = owning()
    rig.done(add("a"))
    tick(rig, off=True)
    rig.now_ms += 3_600_000
    asked = rig.ask(append=True)
    rig.flush()
    assert rig.block().time_ms == NOW_MS
    rig.land()
    assert rig.confirmed[asked] is True


def test_an_empty_block_behind_one_in_flight_has_the_clock_of_that() -> None:
    rig = owning()
    rig.done(add("a"))
    rig.now_ms += 500
    rig.send(add("a"))
    rig.flush()
    tick(rig, off=True)
    rig.now_ms += 3_600_000
    rig.ask(append=True)
    rig.land()
    rig.flush()
    assert rig.block().time_ms == NOW_MS + 500
