"""The checker itself: it finds what is planted, and lets pass what only looks odd."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from tests.e2e.checker import Found, InboxLine, Line, Shown, problems
from tests.e2e.history import (
    BringIn,
    LookAtRoom,
    LookAtWallet,
    MarkRead,
    Operation,
    Outcome,
    Pay,
    Recorder,
    Rename,
    Send,
)

ROOM = "d.a.b"
OperationT = TypeVar("OperationT", bound=Operation)


class Play:
    """A history made by hand: each step takes a tenth of a second."""

    def __init__(self) -> None:
        self._steps = 0
        self.recorder = Recorder(self._now_s)

    def _now_s(self) -> float:
        self._steps += 1
        return self._steps / 10

    def begin(self, operation: OperationT) -> OperationT:
        self.recorder.begin(operation)
        return operation

    def end(self, operation: OperationT, outcome: Outcome = Outcome.OK) -> OperationT:
        self.recorder.end(operation, outcome)
        return operation

    def do(self, operation: OperationT, outcome: Outcome = Outcome.OK) -> OperationT:
        return self.end(self.begin(operation), outcome)

    def send(self, tag: str, sequence: int, outcome: Outcome = Outcome.OK, client: str = "a") -> Send:
        return self.do(Send(client=client, room=ROOM, tag=tag, sequence=sequence), outcome)

    def pay(self, tag: str, rials: int, outcome: Outcome = Outcome.OK) -> Pay:
        return self.do(Pay(client="a", payee="b", rials=rials, tag=tag, transfer_id=f"t{tag}"), outcome)


def told(*tags: str, sender: str = "a") -> Found:
    return Found({ROOM: [Shown(number, sender, tag) for number, tag in enumerate(tags, 1)]})


def books(*paid: tuple[str, int], brought: int = 100) -> dict[str, list[Line]]:
    """Statements of a payer and a payee."""
    lines: dict[str, list[Line]] = {"a": [Line("c", "", brought, brought)], "b": []}
    for tag, rials in paid:
        for user, change in (("a", -rials), ("b", rials)):
            before = lines[user][-1].balance if lines[user] else 0
            lines[user].append(Line(f"t{tag}", tag, change, before + change))
    return lines


def bank(*paid: tuple[str, int], brought: int = 100) -> Found:
    cards = [Shown(number, "a", f"t{tag}", card=True) for number, (tag, _) in enumerate(paid, 1)]
    return Found({ROOM: cards}, members={ROOM: ["a", "b"]}, statements=books(*paid, brought=brought))


# ---- what is wrong


def lost(play: Play) -> Found:
    play.send("one", 1)
    play.send("two", 2)
    return told("one")


def doubled(play: Play) -> Found:
    play.send("one", 1)
    return told("one", "one")


def doubled_in_another_room(play: Play) -> Found:
    play.send("one", 1)
    return Found({ROOM: [Shown(1, "a", "one")], "g.b.c": [Shown(1, "a", "one")]})


def reordered(play: Play) -> Found:
    first = play.begin(Send(client="a", room=ROOM, tag="one", sequence=2))
    play.end(first)
    play.do(Send(client="b", room=ROOM, tag="two", sequence=1))
    return Found({ROOM: [Shown(1, "b", "two"), Shown(2, "a", "one")]})


def an_unknown_one_reordered(play: Play) -> Found:
    play.send("one", 2)
    play.send("two", 0, Outcome.UNKNOWN)
    return told("two", "one")


def another_place_than_told(play: Play) -> Found:
    one = play.begin(Send(client="a", room=ROOM, tag="one", sequence=2))
    play.do(Send(client="b", room=ROOM, tag="two", sequence=1))
    play.end(one)
    return Found({ROOM: [Shown(1, "a", "one"), Shown(2, "b", "two")]})


def another_sender(play: Play) -> Found:
    play.send("one", 1)
    return told("one", sender="b")


def acknowledged_early(play: Play) -> Found:
    play.send("one", 1)
    play.send("two", 2)
    play.recorder.crash("messaging")
    play.send("three", 2)
    return told("one", "three")


def a_gap(play: Play) -> Found:
    play.send("one", 1)
    play.send("three", 3)
    return Found({ROOM: [Shown(1, "a", "one"), Shown(3, "a", "three")]})


def invented(play: Play) -> Found:
    play.send("one", 1)
    return told("one", "never sent")


def refused_yet_there(play: Play) -> Found:
    play.send("one", 1, Outcome.REFUSED)
    return told("one")


def unknown_that_happened_twice(play: Play) -> Found:
    play.send("one", 0, Outcome.UNKNOWN)
    return told("one", "one")


def a_stale_read(play: Play) -> Found:
    play.send("one", 1)
    play.send("two", 2)
    play.do(LookAtRoom(client="b", room=ROOM, sequence=1, tag="one"))
    return told("one", "two")


def a_read_older_than_the_one_before(play: Play) -> Found:
    play.begin(Send(client="a", room=ROOM, tag="one"))
    play.do(LookAtRoom(client="b", room=ROOM, sequence=1, tag="one"))
    play.do(LookAtRoom(client="b", room=ROOM))
    return told("one")


def shown_and_gone(play: Play) -> Found:
    play.send("one", 0, Outcome.UNKNOWN)
    play.do(LookAtRoom(client="b", room=ROOM, sequence=1, tag="one"))
    return told()


def a_stale_balance(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    play.pay("p", 40)
    play.do(LookAtWallet(client="a", rials=100))
    return bank(("p", 40))


def a_balance_below_all_that_can_be(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    play.do(LookAtWallet(client="a", rials=90))
    return bank()


def a_lost_transfer(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    play.pay("p", 40)
    return bank()


def a_transfer_acknowledged_early(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    play.pay("p", 40)
    play.recorder.crash("payments")
    return bank()


def a_transfer_doubled(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    play.pay("p", 40, Outcome.UNKNOWN)
    return bank(("p", 40), ("p", 40))


def a_transfer_refused_yet_there(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    play.pay("p", 40, Outcome.REFUSED)
    return bank(("p", 40))


def half_a_transfer(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    play.pay("p", 40)
    found = bank(("p", 40))
    return replace(found, statements={"a": found.statements["a"], "b": []})


def money_created(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    return bank(brought=101)


def money_for_nothing(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    found = bank()
    return replace(found, statements={**found.statements, "b": [Line("t", "p", 5, 5)]})


def a_wrong_balance(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    play.pay("p", 40)
    found = bank(("p", 40))
    return replace(found, statements={**found.statements, "a": [Line("c", "", 100, 100), Line("tp", "p", -40, 61)]})


def a_card_lost(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    play.pay("p", 40)
    return replace(bank(("p", 40)), rooms={ROOM: []})


def a_card_doubled(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    play.pay("p", 40)
    card = Shown(1, "a", "tp", card=True)
    return replace(bank(("p", 40)), rooms={ROOM: [card, card._replace(sequence=2)]})


def unread_miscounted(play: Play) -> Found:
    play.send("one", 1)
    return replace(told("one"), inboxes={("b", ROOM): InboxLine(head=1, read=0, unread=0)})


def a_head_left_behind(play: Play) -> Found:
    play.send("one", 1)
    play.send("two", 2)
    return replace(told("one", "two"), inboxes={("b", ROOM): InboxLine(head=1, read=0, unread=2)})


def a_read_cursor_lost(play: Play) -> Found:
    play.send("one", 1)
    play.do(MarkRead(client="b", room=ROOM, sequence=1))
    return replace(told("one"), inboxes={("b", ROOM): InboxLine(head=1, read=0, unread=1)})


def shown_in_another_order(play: Play) -> Found:
    play.send("one", 1)
    play.send("two", 2)
    found = told("one", "two")
    return replace(found, live={("b", ROOM): list(reversed(found.rooms[ROOM]))})


def a_name_lost(play: Play) -> Found:
    play.do(Rename(client="a", name="new"))
    return Found({}, names={"a": "old"})


def a_failure_of_a_client(play: Play) -> Found:
    play.recorder.failures.append("a call outlived its deadline")
    return Found({})


WRONG: dict[Callable[[Play], Found], str] = {
    lost: "lost",
    doubled: "doubled",
    doubled_in_another_room: "doubled",
    reordered: "reordered",
    an_unknown_one_reordered: "reordered",
    another_place_than_told: "changed",
    another_sender: "changed",
    acknowledged_early: "acknowledged early",
    a_gap: "stands where",
    invented: "nobody sent",
    refused_yet_there: "refused, yet there",
    unknown_that_happened_twice: "doubled",
    a_stale_read: "stale read",
    a_read_older_than_the_one_before: "stale read",
    shown_and_gone: "shown and gone",
    a_stale_balance: "stale read",
    a_balance_below_all_that_can_be: "stale read",
    a_lost_transfer: "lost",
    a_transfer_acknowledged_early: "acknowledged early",
    a_transfer_doubled: "doubled",
    a_transfer_refused_yet_there: "refused, yet there",
    half_a_transfer: "half",
    money_created: "sum",
    money_for_nothing: "money from nowhere",
    a_wrong_balance: "balance",
    a_card_lost: "card lost",
    a_card_doubled: "card doubled",
    unread_miscounted: "brute force",
    a_head_left_behind: "has head",
    a_read_cursor_lost: "has read",
    shown_in_another_order: "live",
    a_name_lost: "name",
    a_failure_of_a_client: "outlived",
}


@pytest.mark.parametrize("planted", WRONG, ids=lambda planted: planted.__name__)
def test_what_is_wrong_is_found(planted: Callable[[Play], Found]) -> None:
    play = Play()
    found = problems(play.recorder, planted(play))
    assert any(WRONG[planted] in problem for problem in found), found


# ---- what only looks odd


def all_is_well(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    play.send("one", 1)
    play.pay("p", 40)
    play.do(LookAtRoom(client="b", room=ROOM, sequence=1, tag="one"))
    play.do(LookAtWallet(client="a", rials=60))
    play.do(MarkRead(client="b", room=ROOM, sequence=1))
    play.do(Rename(client="a", name="new"))
    messages = [Shown(1, "a", "one"), Shown(2, "a", "tp", card=True)]
    return Found(
        {ROOM: messages},
        members={ROOM: ["a", "b"]},
        statements=books(("p", 40)),
        inboxes={("b", ROOM): InboxLine(head=2, read=1, unread=1), ("a", ROOM): InboxLine(2, 2, 0)},
        live={("b", ROOM): messages},
        names={"a": "new"},
    )


def unknown_that_happened(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100), Outcome.UNKNOWN)
    play.send("one", 0, Outcome.UNKNOWN)
    play.send("two", 2)
    play.pay("p", 40, Outcome.UNKNOWN)
    found = bank(("p", 40))
    return replace(found, rooms={ROOM: [*told("one", "two").rooms[ROOM], Shown(3, "a", "tp", card=True)]})


def unknown_that_did_not_happen(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    play.do(BringIn(client="a", rials=100), Outcome.UNKNOWN)
    play.send("one", 0, Outcome.UNKNOWN)
    play.send("two", 1)
    play.pay("p", 40, Outcome.UNKNOWN)
    play.do(LookAtWallet(client="a", rials=100))
    return replace(bank(), rooms=told("two").rooms)


def unknown_that_happened_long_after(play: Play) -> Found:
    play.begin(Send(client="a", room=ROOM, tag="late"))
    play.send("one", 1)
    play.send("two", 2)
    return told("one", "two", "late")


def concurrent_writes_in_the_other_order(play: Play) -> Found:
    first = play.begin(Send(client="a", room=ROOM, tag="one", sequence=2))
    second = play.begin(Send(client="b", room=ROOM, tag="two", sequence=1))
    play.end(first)
    play.end(second)
    return Found({ROOM: [Shown(1, "b", "two"), Shown(2, "a", "one")]})


def a_read_beside_a_write_shows_it_or_not(play: Play) -> Found:
    send = play.begin(Send(client="a", room=ROOM, tag="one", sequence=1))
    looks = [play.begin(LookAtRoom(client="b", room=ROOM)) for _ in range(2)]
    looks[0].sequence, looks[0].tag = 1, "one"
    play.end(looks[0])
    play.end(send)
    play.end(looks[1])
    return told("one")


def credit_that_has_not_arrived(play: Play) -> Found:
    play.do(BringIn(client="a", rials=100))
    play.pay("p", 40)
    play.do(LookAtWallet(client="b", rials=0))
    play.do(LookAtWallet(client="b", rials=40))
    return bank(("p", 40))


def a_crash_after_everything_was_kept(play: Play) -> Found:
    play.send("one", 1)
    play.recorder.crash("messaging")
    return told("one")


def reads_that_failed(play: Play) -> Found:
    play.send("one", 1)
    play.do(LookAtRoom(client="b", room=ROOM), Outcome.UNKNOWN)
    play.do(LookAtWallet(client="b", rials=7), Outcome.UNKNOWN)
    return told("one")


def a_doubtful_name_and_a_doubtful_cursor(play: Play) -> Found:
    play.send("one", 1)
    play.do(Rename(client="a", name="new"))
    play.do(Rename(client="a", name="newer"), Outcome.UNKNOWN)
    play.do(MarkRead(client="b", room=ROOM, sequence=1), Outcome.UNKNOWN)
    return replace(told("one"), names={"a": "newer"}, inboxes={("b", ROOM): InboxLine(head=1, read=1, unread=0)})


ODD = [
    all_is_well,
    unknown_that_happened,
    unknown_that_did_not_happen,
    unknown_that_happened_long_after,
    concurrent_writes_in_the_other_order,
    a_read_beside_a_write_shows_it_or_not,
    credit_that_has_not_arrived,
    a_crash_after_everything_was_kept,
    reads_that_failed,
    a_doubtful_name_and_a_doubtful_cursor,
]


@pytest.mark.parametrize("legal", ODD, ids=lambda legal: legal.__name__)
def test_what_only_looks_odd_passes(legal: Callable[[Play], Found]) -> None:
    play = Play()
    assert problems(play.recorder, legal(play)) == []


def long_history(length: int) -> tuple[Recorder, Found]:
    """`length` messages, as many transfers and looks of both kinds, all in order."""
    play = Play()
    play.do(BringIn(client="a", rials=length))
    for number in range(1, length + 1):
        play.send(f"m{number}", number)
        play.do(LookAtRoom(client="b", room=ROOM, sequence=number, tag=f"m{number}"))
        play.pay(f"p{number}", 1)
        play.do(LookAtWallet(client="a", rials=length - number))
    messages = [Shown(number, "a", f"m{number}") for number in range(1, length + 1)]
    cards = [Shown(length + number, "a", f"tp{number}", card=True) for number in range(1, length + 1)]
    paid = [(f"p{number}", 1) for number in range(1, length + 1)]
    return play.recorder, replace(bank(*paid, brought=length), rooms={ROOM: messages + cards})


def test_the_checker_is_linear() -> None:
    """Counted, not timed: bytecode lines run for four times the history are at most five times as many."""
    counts = []
    for length in (200, 800):
        recorder, found = long_history(length)
        lines = 0

        def count(frame: object, event: str, argument: object) -> Any:
            nonlocal lines
            lines += event == "line"
            return count

        sys.settrace(count)
        try:
            assert problems(recorder, found) == []
        finally:
            sys.settrace(None)
        counts.append(lines)
    assert counts[1] < 5 * counts[0], counts


def test_a_hundred_thousand_operations_are_checked_in_seconds() -> None:
    recorder, found = long_history(25_000)
    began = time.monotonic()
    assert problems(recorder, found) == []
    print(f"{len(recorder.operations())} operations in {time.monotonic() - began:.1f} s")
