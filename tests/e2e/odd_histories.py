"""Histories that only look odd: nothing is wrong with them."""

from __future__ import annotations

from dataclasses import replace

from tests.e2e.checker import Found, InboxLine, Shown
from tests.e2e.history import (
    BringIn,
    LookAtRoom,
    LookAtWallet,
    MarkRead,
    Outcome,
    Rename,
    Send,
)
from tests.e2e.playing import ROOM, Play, bank, books, told


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
