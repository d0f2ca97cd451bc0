"""The checker itself: it finds what is planted, and lets pass what only looks odd."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.e2e.checker import Found, Shown, problems
from tests.e2e.history import BringIn, LookAtRoom, LookAtWallet, Recorder
from tests.e2e.odd_histories import ODD
from tests.e2e.planted_histories import WRONG
from tests.e2e.playing import ROOM, Play, bank


@pytest.mark.parametrize("planted", WRONG, ids=lambda planted: planted.__name__)
def test_what_is_wrong_is_found(planted: Callable[[Play], Found]) -> None:
    play = Play()
    found = problems(play.recorder, planted(play))
    assert any(WRONG[planted] in problem for problem in found), found


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
