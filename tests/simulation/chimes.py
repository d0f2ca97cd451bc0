"""Chimes, judged from the journal alone: each fired once, not before it was due, none cancelled and none missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from google.protobuf.wrappers_pb2 import StringValue

from tests.simulation.model import Counted
from tests.simulation.playing import Violation

Chime = tuple[str, int, int]
"""(register, when it is due, number of the item that set it)."""


@dataclass(slots=True)
class Chimes:
    """What became of the chimes of a log."""

    waiting: set[Chime] = field(default_factory=set)
    fired: int = 0
    cancelled: int = 0
    again: int = 0
    """How many were set for a time at which one of the same register had been done before."""
    most: int = 0
    """How many waited at once, at most."""
    _past: set[tuple[str, int]] = field(default_factory=set)
    """(register, when it was due) of those that were done."""

    @property
    def last_due_ms(self) -> int:
        """When the last of those that wait is due; 0 when none waits."""
        return max((due_ms for _, due_ms, _ in self.waiting), default=0)

    def _set(self, chime: Chime) -> None:
        self.waiting.add(chime)
        self.most = max(self.most, len(self.waiting))
        self.again += chime[:2] in self._past

    def _take(self, done: dict[str, object], what: str, time_ms: int) -> None:
        chime = _chime(done, what)
        if chime not in self.waiting:
            raise Violation(f"chime {chime} is {what} at {time_ms} and was done before, or never set")
        self.waiting.remove(chime)
        if what == "cancels":
            self.cancelled += 1
            return
        self.fired += 1
        self._past.add(chime[:2])
        if time_ms < chime[1]:
            raise Violation(f"chime {chime} fired at {time_ms}, before it was due")


def chimes_of(blocks: Sequence[Counted]) -> Chimes:
    """What became of the chimes up to the end of the log."""
    chimes = Chimes()
    for counted in blocks:
        assert counted.block is not None, "claims are not among them"
        for entry in counted.block.entries:
            if entry.actor.HasField("system") and not entry.events.events:
                raise Violation(f"the entry of a timer at {counted.offset} has no events")
            for data in entry.events.events:
                done = json.loads(StringValue.FromString(data).value)
                if ("chimed" in done) != entry.actor.HasField("system"):
                    raise Violation(f"the wrong one fired a chime at {counted.offset}")
                for what in ("chimed", "cancels"):
                    if what in done:
                        chimes._take(done, what, counted.block.time_ms)
                if "chimes" in done:
                    chimes._set(_chime(done, "chimes"))
    return chimes


def check_chimes(blocks: Sequence[Counted]) -> Chimes:
    """At rest, after the last of them was due, none waits."""
    chimes = chimes_of(blocks)
    if chimes.waiting:
        raise Violation(f"chimes never fired: {sorted(chimes.waiting)}")
    return chimes


def _chime(done: dict[str, object], what: str) -> Chime:
    register, chime = done["register"], done[what]
    assert isinstance(register, str) and isinstance(chime, list), "as the toy writes them"  # noqa: PT018
    return register, int(chime[0]), int(chime[1])
