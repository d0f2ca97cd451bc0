"""Histories with something wrong in each, and what the checker has to say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.e2e.checker import Found, InboxLine, Line, Shown
from tests.e2e.history import (
    BringIn,
    LookAtRoom,
    LookAtWallet,
    MarkRead,
    Outcome,
    Rename,
    Send,
)
from tests.e2e.playing import ROOM, Play, bank, told


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
