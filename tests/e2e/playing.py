"""Histories made by hand, for the tests of the checker."""

from __future__ import annotations

from typing import TypeVar

from tests.e2e.checker import Found, Line, Shown
from tests.e2e.history import Operation, Outcome, Pay, Recorder, Send

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
