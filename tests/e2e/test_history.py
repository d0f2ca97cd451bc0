"""The checker itself: it finds what is planted."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.e2e.history import Line, Paid, Recorder, Sent, Shown, check_cards, check_money, check_room, check_shown

ROOM = "d.a.b"


def recorder() -> Recorder:
    return Recorder(
        sent=[Sent(ROOM, "a", "one", 1), Sent(ROOM, "b", "two", 2), Sent(ROOM, "a", "three", 3)],
        tried={"one", "two", "three", "perhaps"},
        paid=[Paid("t", "a", "b", 5)],
        brought_in=Counter({"a": 10}),
    )


TOLD = [Shown(1, "a", "one"), Shown(2, "b", "two"), Shown(3, "a", "three"), Shown(4, "a", "t")]
STATEMENTS = {"a": [Line("cash-in:1", 10, 10), Line("t", -5, 5)], "b": [Line("t", 5, 5)]}


def test_what_is_right_has_no_problems() -> None:
    assert check_room(ROOM, TOLD, recorder()) == []
    assert check_room(ROOM, [*TOLD, Shown(5, "a", "perhaps")], recorder()) == [], "tried and unknown may be there"
    assert check_money(STATEMENTS, recorder()) == []
    assert check_cards(("a", "b"), TOLD, recorder()) == []
    assert check_shown("a", TOLD, TOLD) == []


@pytest.mark.parametrize(
    "told",
    [
        TOLD[:2],
        [TOLD[0], TOLD[1], Shown(3, "a", "one"), Shown(4, "a", "three")],
        [Shown(1, "b", "two"), Shown(2, "a", "one"), Shown(3, "a", "three")],
        [TOLD[0], TOLD[1], Shown(4, "a", "three")],
        [*TOLD, Shown(5, "a", "never sent")],
        [Shown(1, "b", "one"), *TOLD[1:]],
    ],
    ids=["lost", "doubled", "swapped", "gap", "invented", "another sender"],
)
def test_a_history_that_is_wrong_is_found(told: list[Shown]) -> None:
    assert check_room(ROOM, told, recorder())


def test_a_sender_whose_messages_changed_places_is_found() -> None:
    wrong = recorder()
    wrong.sent = [Sent(ROOM, "a", "three", 3), Sent(ROOM, "a", "one", 1)]
    assert check_room(ROOM, TOLD, wrong)


@pytest.mark.parametrize(
    "statements",
    [
        {"a": STATEMENTS["a"], "b": []},
        {"a": STATEMENTS["a"], "b": [Line("t", 5, 5), Line("t", 5, 10)]},
        {"a": [Line("cash-in:1", 10, 10), Line("t", -5, 6)], "b": STATEMENTS["b"]},
        {"a": [Line("cash-in:1", 11, 11), Line("t", -5, 6)], "b": STATEMENTS["b"]},
    ],
    ids=["lost credit", "doubled credit", "wrong balance", "money from nowhere"],
)
def test_statements_that_are_wrong_are_found(statements: dict[str, list[Line]]) -> None:
    assert check_money(statements, recorder())


def test_cards_lost_and_doubled_are_found() -> None:
    assert check_cards(("a", "b"), TOLD[:3], recorder())
    assert check_cards(("a", "b"), [*TOLD, Shown(5, "a", "t")], recorder())


def test_an_inbox_that_showed_something_else_is_found() -> None:
    assert check_shown("a", TOLD[1:], TOLD)
