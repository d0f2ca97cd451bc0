"""Which timers are due next, as hints tell: how often one that fails is tried again, and what is read ahead."""

from __future__ import annotations

import pytest

from chapar_sourcing.owner import Bounds, Effect, LoadTimers, Outcome, TimerFailed, TimersLoaded
from chapar_sourcing.owner.memory import Memory, Slot
from chapar_sourcing.owner.timers import RETRY_MS_MAX, RETRY_MS_MIN, Timers
from chapar_sourcing.positions import Position
from chapar_sourcing.timers import Timer, timer_key

from .reminders import Reminders, reminder_key
from .rig import NOW_MS

FAILED = Outcome(reason="REASON_NOT_YET")


class Hinted:
    """Timers of an owner, and a store that has ids of some."""

    def __init__(self, *due_ms: int, page: int = 4) -> None:
        self.said: list[Effect] = []
        self.memory = Memory()
        self.timers = Timers(Reminders(), self.memory, Bounds(timers_page=page), self.said.append)
        self.stored = [timer_key(due, "a").id for due in due_ms]

    def read(self, *, at_least: int = 0) -> list[str]:
        """Reads pages until none is wanted; says after which id each began."""
        after = []
        self.timers.read_ahead(at_least)
        while self.said and isinstance(asked := self.said.pop(), LoadTimers):
            after.append(asked.after)
            found = [identity for identity in self.stored if identity > asked.after]
            self.timers.loaded(TimersLoaded(asked.load_id, found[: asked.limit]))
            self.timers.read_ahead(at_least)
        return after

    def fail(self, now_ms: int) -> None:
        """Everything that is due fails; where it is time to try again, that begins with a page."""
        self.read()
        commands = self.timers.due(now_ms)
        if not commands:
            self.read()
            commands = self.timers.due(now_ms)
        assert commands
        for command in commands:
            self.timers.answered(command.ticket, FAILED, now_ms)
        self.said.clear()


def waits(hinted: Hinted, now_ms: int) -> int:
    """How long it rests now."""
    next_ms = hinted.timers.next_ms()
    assert next_ms is not None
    return next_ms - now_ms


def test_what_fails_is_tried_less_often_up_to_a_bound_and_often_again_after_a_rest() -> None:
    hinted, now_ms, rests = Hinted(NOW_MS), NOW_MS, []
    for _ in range(9):
        hinted.fail(now_ms)
        rests.append(waits(hinted, now_ms))
        now_ms += rests[-1]
    assert rests == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]
    hinted.fail(now_ms)
    now_ms += 2 * RETRY_MS_MAX
    hinted.fail(now_ms)
    assert waits(hinted, now_ms) == RETRY_MS_MAX, "one that fails as often as it is tried"
    now_ms += 2 * RETRY_MS_MAX + 1
    hinted.fail(now_ms)
    assert waits(hinted, now_ms) == RETRY_MS_MIN


def test_a_timer_that_is_still_there_though_it_was_done_rests_before_it_is_tried_again() -> None:
    """Its rules wrote an answer and left it in place: it would be done over and over."""
    hinted = Hinted(NOW_MS)
    hinted.memory.hold(reminder_key("a", NOW_MS), Slot(Timer(), Position(1, 0)))
    hinted.read()
    (command,) = hinted.timers.due(NOW_MS)
    hinted.timers.answered(command.ticket, Outcome(replayed=True), NOW_MS)
    assert [type(said) for said in hinted.said] == [TimerFailed]
    assert waits(hinted, NOW_MS) == RETRY_MS_MIN


def test_those_that_fail_together_are_tried_again_together() -> None:
    hinted = Hinted(NOW_MS, NOW_MS + 1, NOW_MS + 500)
    hinted.fail(NOW_MS + 1)
    hinted.fail(NOW_MS + 500)
    assert waits(hinted, NOW_MS) == RETRY_MS_MIN + 1
    assert not hinted.timers.due(NOW_MS + RETRY_MS_MIN)
    hinted.read()
    assert not hinted.timers.due(NOW_MS + RETRY_MS_MIN)
    assert not hinted.timers.due(NOW_MS + RETRY_MS_MIN + 1), "the store is read again first"
    hinted.read()
    assert len(hinted.timers.due(NOW_MS + RETRY_MS_MIN + 1)) == 3


def test_pages_are_read_on_where_the_last_one_ended_until_enough_are_known() -> None:
    hinted = Hinted(*(NOW_MS + n for n in range(10)))
    assert hinted.timers.next_ms() == 0, "there is a page to read"
    assert hinted.read() == [""]
    assert hinted.timers.next_ms() == NOW_MS
    assert [len(hinted.timers.due(NOW_MS + n)) for n in range(2)] == [1, 1]
    assert hinted.read() == []
    assert len(hinted.timers.due(NOW_MS + 2)) == 1
    assert hinted.read() == [hinted.stored[3]]
    assert len(hinted.timers.due(NOW_MS + 9)) == 5
    assert hinted.read() == [hinted.stored[7]]
    assert hinted.timers.next_ms() == NOW_MS + 8
    assert len(hinted.timers.due(NOW_MS + 9)) == 2
    assert hinted.read() == []
    assert hinted.timers.next_ms() is None


def test_what_memory_has_is_hinted_up_to_where_the_page_ends() -> None:
    """Memory may know of timers that the store does not have yet, and of some that are gone."""
    hinted = Hinted(*(NOW_MS + 10 * n for n in range(4)))
    for due_ms, value in ((NOW_MS + 5, Timer()), (NOW_MS + 15, None), (NOW_MS + 45, Timer())):
        hinted.memory.hold(reminder_key("a", due_ms), Slot(value, Position(1, 0)))
    hinted.read()
    commands = hinted.timers.due(NOW_MS + 30)
    assert [int(command.timer.partition(".")[0]) - NOW_MS for command in commands] == [0, 5, 10, 20, 30]


def test_a_hint_beyond_what_was_read_is_left_to_the_page() -> None:
    hinted = Hinted(*(NOW_MS + n for n in range(4)))
    hinted.read()
    hinted.timers.note([reminder_key("a", NOW_MS + 9), reminder_key("b", NOW_MS + 3)])
    commands = hinted.timers.due(NOW_MS + 20)
    assert [command.timer for command in commands] == [*hinted.stored]


def test_a_timer_under_way_is_not_fired_twice() -> None:
    hinted = Hinted(NOW_MS)
    hinted.read()
    (command,) = hinted.timers.due(NOW_MS)
    hinted.timers.note([timer_key(NOW_MS, "a")])
    assert not hinted.timers.due(NOW_MS)
    hinted.timers.answered(command.ticket, Outcome(reason="TIMER_GONE"), NOW_MS)
    assert not hinted.timers.due(NOW_MS)
    hinted.timers.note([timer_key(NOW_MS, "a")])
    hinted.timers.note([timer_key(NOW_MS, "a")])
    assert len(hinted.timers.due(NOW_MS)) == 1


@pytest.mark.parametrize("asked_again", [False, True])
def test_a_page_that_was_asked_for_before_it_began_anew_is_passed_over(asked_again: bool) -> None:
    """It tells of later timers alone: taken in, it would seem that all before it are known."""
    hinted = Hinted(*(NOW_MS + n for n in range(10)))
    hinted.read()
    assert len(hinted.timers.due(NOW_MS + 2)) == 3
    hinted.timers.read_ahead(0)
    stale = hinted.said.pop()
    assert isinstance(stale, LoadTimers)
    assert stale.after == hinted.stored[3]
    hinted.timers.begin()
    assert hinted.timers.reading_since is None
    if asked_again:
        hinted.timers.read_ahead(0)
    hinted.timers.loaded(TimersLoaded(stale.load_id, hinted.stored[4:8]))
    if asked_again:
        asked = hinted.said.pop()
        assert isinstance(asked, LoadTimers)
        hinted.timers.loaded(TimersLoaded(asked.load_id, hinted.stored[:4]))
    hinted.read()
    assert hinted.timers.due(NOW_MS + 3)[0].timer == hinted.stored[3]


def test_a_page_that_failed_is_read_again_unless_nobody_waits_for_it_any_more() -> None:
    hinted = Hinted(NOW_MS)
    hinted.timers.read_ahead(0)
    stale = hinted.said.pop()
    assert isinstance(stale, LoadTimers)
    hinted.timers.begin()
    hinted.timers.load_failed(stale.load_id)
    hinted.timers.read_ahead(0)
    asked = hinted.said.pop()
    assert isinstance(asked, LoadTimers)
    hinted.timers.load_failed(stale.load_id)
    hinted.timers.read_ahead(0)
    assert not hinted.said
    hinted.timers.load_failed(asked.load_id)
    hinted.timers.read_ahead(7)
    again = hinted.said.pop()
    assert isinstance(again, LoadTimers)
    assert (again.after, again.at_least) == (asked.after, 7)


def test_a_timer_that_is_set_among_those_that_were_read_is_hinted_at_once() -> None:
    """No page would find it: the next one begins after them."""
    hinted = Hinted(*(NOW_MS + 10 * n for n in range(8)))
    assert hinted.read() == [""]
    hinted.timers.note([reminder_key("b", NOW_MS + 15)])
    found = [command.timer for command in hinted.timers.due(NOW_MS + 20)]
    assert found == [hinted.stored[0], hinted.stored[1], reminder_key("b", NOW_MS + 15).id, hinted.stored[2]]


def test_a_timer_that_is_set_after_it_began_anew_is_not_behind_those_hinted_before() -> None:
    """What is hinted is forgotten: as long as it were enough to do, no page would be read that finds the new one."""
    hinted = Hinted(*(NOW_MS + 10 * n for n in range(1, 9)))
    hinted.read()
    hinted.timers.begin()
    hinted.memory.hold(reminder_key("b", NOW_MS), Slot(Timer(), Position(1, 0)))
    hinted.timers.note([reminder_key("b", NOW_MS)])
    hinted.read()
    (first,) = hinted.timers.due(NOW_MS)
    assert first.timer == reminder_key("b", NOW_MS).id


def test_the_last_timer_of_a_page_is_hinted_when_it_is_set_again() -> None:
    hinted = Hinted(*(NOW_MS + n for n in range(4)))
    hinted.read()
    for command in hinted.timers.due(NOW_MS + 3):
        hinted.timers.answered(command.ticket, Outcome(reason="TIMER_GONE"), NOW_MS + 3)
    hinted.timers.note([reminder_key("a", NOW_MS + 3)])
    assert [command.timer for command in hinted.timers.due(NOW_MS + 3)] == [hinted.stored[3]]


@pytest.mark.parametrize(("noted", "kept"), [(16, 16), (17, 8)])
def test_more_timers_than_are_remembered_are_left_to_pages(noted: int, kept: int) -> None:
    """Four pages are remembered; of more, two are kept."""
    hinted = Hinted()
    hinted.read()
    keys = [reminder_key("a", NOW_MS + n) for n in range(noted)]
    hinted.stored = [key.id for key in keys]
    hinted.timers.note(reversed(keys))
    assert hinted.timers.next_ms() == NOW_MS, "there is nothing to do before"
    first = [command.timer for command in hinted.timers.due(NOW_MS + noted)]
    assert first == hinted.stored[:kept]
    later = []
    while hinted.read():
        later += [command.timer for command in hinted.timers.due(NOW_MS + noted)]
    assert [*first, *later] == hinted.stored


def test_more_timers_of_memory_than_are_remembered_are_left_to_pages() -> None:
    hinted, keys = Hinted(), [reminder_key("a", NOW_MS + n) for n in range(17)]
    for key in keys:
        hinted.memory.hold(key, Slot(Timer(), Position(1, 0)))
    hinted.read()
    commands = hinted.timers.due(NOW_MS + 17)
    assert len(commands) == 8
    hinted.read()
    assert [command.timer for command in [*commands, *hinted.timers.due(NOW_MS + 17)]] == [key.id for key in keys]


def test_a_page_that_was_asked_for_before_hints_were_forgotten_is_passed_over() -> None:
    """It begins behind those that were forgotten: taken in, it would seem that they are known."""
    hinted = Hinted(*(NOW_MS + 100 * n for n in range(1, 9)))
    hinted.read()
    fired = [command.timer for command in hinted.timers.due(NOW_MS + 300)]
    hinted.timers.read_ahead(0)
    stale = hinted.said.pop()
    assert isinstance(stale, LoadTimers)
    keys = [reminder_key("b", NOW_MS + 301 + n) for n in range(17)]
    hinted.timers.note(keys)
    hinted.timers.loaded(TimersLoaded(stale.load_id, hinted.stored[4:8]))
    hinted.stored = sorted([*hinted.stored, *(key.id for key in keys)])
    commands = hinted.timers.due(NOW_MS + 1_000)
    while hinted.read() or commands:
        fired += [command.timer for command in commands]
        commands = hinted.timers.due(NOW_MS + 1_000)
    assert fired == hinted.stored


def test_a_page_that_failed_is_asked_for_again_whatever_becomes_of_older_ones_later() -> None:
    hinted = Hinted(NOW_MS)

    def asked() -> LoadTimers:
        hinted.timers.read_ahead(0)
        said = hinted.said.pop()
        assert isinstance(said, LoadTimers)
        return said

    given_up = asked()
    hinted.timers.begin()
    failed = asked()
    hinted.timers.load_failed(failed.load_id)
    hinted.timers.load_failed(given_up.load_id)
    assert hinted.timers.next_ms() == 0, "there is something to do at once"
    assert asked().after == failed.after
