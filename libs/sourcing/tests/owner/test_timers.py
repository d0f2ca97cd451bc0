"""Timers: fired once, not before they are due, and none is lost, whatever becomes of memory, store and owner."""

from __future__ import annotations

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.owner import Bounds, OwnerPhase, TimerFailed
from chapar_sourcing.owner.timers import RETRY_MS_MIN
from chapar_sourcing.requests import request_time_ms

from .accounts import add
from .reminders import Reminders, cancel, remind, reminder_key
from .rig import NOW_MS, Rig, owning, successor

DUE_MS = NOW_MS + 10_000
PAGE_TIMERS = Bounds().timers_page
HINTS_MAX = 4 * PAGE_TIMERS
UNDER_WAY_MAX = Bounds().timers_under_way_max


def timed(**how: object) -> Rig:
    """An owner of accounts with reminders; it has read its first page."""
    rig = owning(domain=Reminders(), **how)
    rig.tick()
    if rig.pages:
        rig.page()
    return rig


def over(rig: Rig) -> Rig:
    """The rig's successor, which owns and has not read any timers."""
    other = successor(rig, domain=Reminders())
    other.take_over()
    return other


def settle(rig: Rig, *, ticks: int = 1) -> None:
    """Ticks, and answers everything that it brings."""
    for _ in range(ticks):
        rig.tick()
        while rig.pages or rig.loads or rig.appends or rig.owner.undurable:
            if rig.pages:
                rig.page()
            elif rig.loads:
                rig.load()
            elif rig.appends:
                rig.land()
            else:
                rig.flush()
        rig.tick()


def fired(rig: Rig) -> list[journal.Entry]:
    """Entries of timers in the log, in order."""
    blocks = [journal.Record.FromString(record.data).block for record in rig.log.records]
    return [entry for block in blocks for entry in block.entries if entry.actor.HasField("system")]


# ---- when


def test_a_timer_fires_at_its_time_and_not_before() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS))
    rig.now_ms = DUE_MS - 1
    settle(rig, ticks=3)
    assert fired(rig) == []
    rig.now_ms = DUE_MS
    settle(rig, ticks=3)
    (entry,) = fired(rig)
    assert (entry.actor.system, request_time_ms(entry.request_id)) == ("accounts", DUE_MS)
    assert rig.count("a") == 1
    assert rig.owner.peek(reminder_key("a", DUE_MS)) == (True, None)
    assert min(rig.replies) > 0, "nobody but the owner waits for what a timer's command is told"


def test_a_timer_waits_for_the_clock_of_the_block_that_fills() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS))
    rig.done(add("b"))
    rig.now_ms = DUE_MS - 1
    rig.send(add("b"))
    rig.now_ms = DUE_MS
    rig.tick()
    rig.load_all()
    rig.flush()
    assert rig.block().time_ms == DUE_MS - 1
    rig.land()
    assert fired(rig) == []
    settle(rig)
    assert len(fired(rig)) == 1


def test_a_timer_that_is_due_when_it_is_set_fires_once_it_is_durable() -> None:
    rig = timed()
    rig.send(remind("a", NOW_MS - 1))
    rig.tick()
    rig.flush()
    assert [entry.actor.HasField("system") for entry in rig.block().entries] == [False]
    rig.land()
    settle(rig)
    assert len(fired(rig)) == 1


def test_a_cancelled_timer_does_nothing_and_leaves_no_entry() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS))
    rig.done(cancel("a", DUE_MS))
    before = len(rig.log.records)
    rig.now_ms = DUE_MS
    settle(rig, ticks=3)
    assert len(rig.log.records) == before
    assert rig.owner.next_timer_ms is None
    assert rig.owner.waiting == 0


def test_a_timer_that_is_set_again_after_it_was_done_fires_again() -> None:
    rig = timed()
    for _ in range(2):
        rig.done(remind("a", NOW_MS - 1))
        settle(rig, ticks=2)
    first, second = fired(rig)
    assert first.request_id != second.request_id
    assert rig.count("a") == 2


def test_a_timer_that_is_set_again_in_the_block_that_does_it_fires_again() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS))
    rig.now_ms = DUE_MS
    rig.tick()
    rig.load_all()
    rig.send(remind("a", DUE_MS))
    rig.flush()
    rig.land()
    settle(rig, ticks=2)
    assert len(fired(rig)) == 2


def test_the_next_time_is_known_and_nothing_wakes_before_it() -> None:
    rig = timed()
    assert rig.owner.next_timer_ms is None
    rig.done(remind("a", DUE_MS, DUE_MS + 5))
    assert rig.owner.next_timer_ms == DUE_MS
    rig.now_ms = DUE_MS
    settle(rig)
    assert rig.owner.next_timer_ms == DUE_MS + 5


def test_a_service_without_timers_never_reads_any() -> None:
    rig = owning()
    rig.tick()
    assert rig.pages == []
    assert rig.owner.next_timer_ms is None


# ---- crashes and take-overs


def test_a_successor_fires_what_is_due_and_nothing_twice() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS, DUE_MS + 1))
    rig.now_ms = DUE_MS
    settle(rig)
    while rig.project():
        pass
    other = over(rig)
    other.now_ms = DUE_MS + 1
    settle(other, ticks=3)
    assert [request_time_ms(entry.request_id) for entry in fired(other)] == [DUE_MS, DUE_MS + 1]
    assert other.count("a") == 2


def test_a_timer_whose_block_landed_unseen_is_not_fired_again() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS))
    while rig.project():
        pass
    rig.now_ms = DUE_MS
    rig.tick()
    rig.load_all()
    rig.flush()
    rig.land(tell=False)
    other = over(rig)
    settle(other, ticks=3)
    assert len(fired(other)) == 1


def test_a_timer_whose_block_is_undone_fires_after_the_next_claim() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS))
    rig.now_ms = rig.heartbeat_ms = DUE_MS
    rig.tick()
    rig.load_all()
    rig.flush()
    rig.doubt()
    rig.tick()
    rig.finish_taking_over()
    settle(rig, ticks=2)
    assert len(fired(rig)) == 1
    assert rig.count("a") == 1


def test_a_timer_whose_cancellation_is_undone_and_given_up_fires() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS))
    rig.send(cancel("a", DUE_MS), deadline_ms=DUE_MS)
    rig.flush()
    rig.now_ms = rig.heartbeat_ms = DUE_MS
    rig.tick()
    rig.doubt()
    rig.tick()
    rig.finish_taking_over()
    settle(rig, ticks=2)
    assert len(fired(rig)) == 1


def test_a_timer_of_a_month_ago_still_fires() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS))
    while rig.project():
        pass
    other = successor(rig, domain=Reminders())
    other.now_ms = other.heartbeat_ms = DUE_MS + 40 * 24 * 3_600_000
    other.take_over()
    settle(other, ticks=2)
    assert len(fired(other)) == 1


# ---- pages


def test_a_timer_set_while_a_page_is_read_is_not_lost() -> None:
    rig = owning(domain=Reminders())
    before = dict(rig.shelf.documents)
    rig.tick()
    rig.done(remind("a", DUE_MS))
    rig.page(stored=before)
    rig.now_ms = DUE_MS
    settle(rig)
    assert len(fired(rig)) == 1


def test_a_timer_done_while_a_page_is_read_is_not_fired_again() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS))
    while rig.project():
        pass
    other = over(rig)
    before = dict(other.shelf.documents)
    other.tick()
    other.done(cancel("a", DUE_MS))
    other.page(stored=before)
    other.now_ms = DUE_MS
    settle(other, ticks=2)
    assert fired(other) == []


def test_a_page_that_cannot_be_read_is_asked_for_again_once() -> None:
    rig = owning(domain=Reminders())
    rig.tick()
    rig.fail_page()
    assert rig.pages == []
    assert rig.owner.next_timer_ms == 0
    rig.tick()
    rig.tick()
    assert len(rig.pages) == 1
    assert rig.owner.next_timer_ms is None, "there is nothing to do but wait for it"


def test_an_answer_to_a_page_that_nobody_waits_for_is_ignored() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS))
    rig.heartbeat_ms = rig.now_ms
    rig.send(add("b"))
    rig.load_all()
    rig.flush()
    rig.doubt()
    rig.tick()
    rig.finish_taking_over()
    rig.tick()
    stale = rig.pages[0]
    rig.pages.append(stale)
    rig.page()
    rig.page(stored={})
    rig.now_ms = DUE_MS
    settle(rig)
    assert len(fired(rig)) == 1


def test_more_timers_than_a_page_all_fire_in_order_of_their_time() -> None:
    rig = timed()
    times = [DUE_MS + n for n in range(2 * PAGE_TIMERS + 300)]
    for start in range(0, len(times), 500):
        rig.done(remind("a", *times[start : start + 500]))
    while rig.project():
        pass
    other = over(rig)
    other.now_ms = times[-1]
    settle(other, ticks=len(times) // UNDER_WAY_MAX + 3)
    assert [request_time_ms(entry.request_id) for entry in fired(other)] == times
    assert other.count("a") == len(times)


def test_more_timers_than_are_remembered_all_fire() -> None:
    rig = timed()
    times = [DUE_MS + n for n in range(HINTS_MAX + 600)]
    for start in range(0, len(times), 500):
        rig.done(remind("a", *times[start : start + 500]))
    rig.now_ms = times[-1]
    settle(rig, ticks=len(times) // UNDER_WAY_MAX + 8)
    assert sorted(request_time_ms(entry.request_id) for entry in fired(rig)) == times


# ---- crowds


def test_a_crowd_of_timers_leaves_room_for_commands() -> None:
    rig = timed()
    rig.done(add("b"))
    for start in range(0, 2_000, 500):
        rig.done(remind("a", *range(DUE_MS + start, DUE_MS + start + 500)))
    rig.now_ms = DUE_MS + 2_000
    rig.tick()
    rig.load_all()
    rig.tick()
    ticket = rig.send(add("b"))
    rig.flush()
    assert len(rig.block().entries) == UNDER_WAY_MAX + 1
    rig.land()
    assert rig.reason(ticket) == ""


def test_due_timers_wait_while_the_store_is_too_far_behind() -> None:
    rig = timed(bounds=Bounds(unprojected_max=2))
    rig.done(remind("a", DUE_MS))
    rig.now_ms = DUE_MS
    settle(rig)
    assert fired(rig) == []
    while rig.project():
        pass
    settle(rig, ticks=2)
    assert len(fired(rig)) == 1


def test_no_timer_fires_while_the_owner_drains() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS))
    rig.now_ms = DUE_MS
    rig.tick(draining=True)
    rig.load_all()
    rig.flush()
    assert rig.appends == []


def test_a_deposed_owner_fires_nothing() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS))
    rig.log.claimed_by_another()
    rig.now_ms = DUE_MS
    rig.tick()
    rig.load_all()
    rig.flush()
    rig.land()
    while rig.reads:
        rig.read()
    assert rig.owner.phase is OwnerPhase.DEPOSED
    assert rig.owner.waiting == 0


# ---- failures


def test_what_fails_is_not_written_and_tried_again_ever_less_often() -> None:
    for then, reason in (("refused", "REASON_NOT_YET"), ("keep", "BUG"), ("again", "BUG"), ("fail", "BUG")):
        rig = timed()
        rig.done(remind("a", DUE_MS, then=then))
        before = len(rig.log.records)
        rig.now_ms = DUE_MS
        settle(rig, ticks=3)
        assert [failed.reason for failed in rig.seen(TimerFailed)] == [reason], then
        assert rig.owner.next_timer_ms == DUE_MS + RETRY_MS_MIN
        for wait_ms in (RETRY_MS_MIN, 2 * RETRY_MS_MIN, 4 * RETRY_MS_MIN):
            tried = len(rig.seen(TimerFailed))
            rig.now_ms += wait_ms - 1
            settle(rig, ticks=2)
            assert len(rig.seen(TimerFailed)) == tried
            rig.now_ms += 1
            settle(rig, ticks=2)
            assert len(rig.seen(TimerFailed)) == tried + 1
        assert len(rig.log.records) == before


def test_a_timer_that_fails_keeps_no_other_from_firing() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS, then="refused"))
    rig.done(remind("b", DUE_MS + 1))
    rig.now_ms = DUE_MS + 1
    settle(rig, ticks=2)
    assert rig.count("b") == 1


def test_the_refusal_of_a_timer_is_not_journaled_where_others_are() -> None:
    rig = owning(domain=Reminders(journals_refusals=True))
    rig.tick()
    rig.page()
    rig.done(remind("a", DUE_MS, then="refused"))
    before = len(rig.log.records)
    rig.now_ms = DUE_MS
    settle(rig)
    assert [failed.reason for failed in rig.seen(TimerFailed)] == ["REASON_NOT_YET"]
    assert len(rig.log.records) == before


# ---- what is asked of the store


def test_a_timer_that_memory_knows_is_fired_without_asking_the_store() -> None:
    rig = timed()
    rig.done(remind("a", DUE_MS))
    rig.done(add("a"))
    rig.now_ms = DUE_MS
    rig.tick()
    assert not rig.loads
    rig.flush()
    assert [entry.actor.system for entry in rig.block().entries] == ["accounts"]


def test_a_due_timer_stays_in_memory_until_its_turn() -> None:
    rig = timed(bounds=Bounds(documents_max=0, entries_max=1))
    rig.done(remind("a", DUE_MS))
    rig.done(add("b"))
    rig.now_ms = DUE_MS
    rig.send(add("b"))
    rig.tick()
    while rig.project():
        pass
    for _ in range(3):
        rig.tick()
    assert rig.owner.peek(reminder_key("a", DUE_MS))[0]
    rig.flush()
    rig.land()
    assert not [key for load in rig.loads for key in load.keys if key == reminder_key("a", DUE_MS)]
