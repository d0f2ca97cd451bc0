"""Shrinks the trace of a seed that fails: `python -m tests.simulation.shrink --seed 42`.

Delta debugging: faults and wishes are suppressed, first many at once, then one by one, as long as the same kind of
violation remains and the trace gets shorter.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.simulation.faults import WISH, AllBut
from tests.simulation.playing import LANES, Play, Played, play_of

TRIES_MAX = 3_000
"""How many replays a shrink makes at most."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The shortest failure that was found."""

    played: Played
    tries: int

    @property
    def only(self) -> frozenset[int]:
        """Numbers of the faults and wishes that are left: replaying with `AllBut(only)` gives the same trace."""
        return frozenset(fault.number for fault in self.played.faults)


def shrink(play: Play, seed: int, tries_max: int = TRIES_MAX) -> Shrunk:
    """Shrinks what fails at a seed. Raises `ValueError` when nothing does."""
    best = play(seed)
    if not best.violation:
        raise ValueError(f"seed {seed} is good: there is nothing to shrink")
    tries, suppressed, size = 1, frozenset[int](), max(1, len(best.faults) // 2)
    while tries < tries_max:
        shorter = None
        for chunk in _chunks([fault.number for fault in best.faults], size):
            tried = suppressed | chunk
            tries += 1
            played = play(seed, tried)
            if played.kind == best.kind and _cost(played) < _cost(best):
                shorter = played
                break
            if tries >= tries_max:
                break
        if shorter is not None:
            best, suppressed, size = shorter, tried, min(size, max(1, len(shorter.faults) // 2))
        elif size == 1:
            break
        else:
            size //= 2
    return Shrunk(best, tries)


def _chunks(numbers: Sequence[int], size: int) -> Iterator[frozenset[int]]:
    """Later faults first: the end of a trace is what fails."""
    for end in range(len(numbers), 0, -size):
        yield frozenset(numbers[max(0, end - size) : end])


def _cost(played: Played) -> tuple[int, int]:
    return len(played.faults), len(played.steps)


def told(shrunk: Shrunk, lane: str) -> str:
    """The trace, what it breaks, and the command that replays it."""
    played = shrunk.played
    wishes = sum(fault.name == WISH for fault in played.faults)
    faults = [fault.name for fault in played.faults if fault.name != WISH]
    only = ",".join(str(number) for number in sorted(shrunk.only))
    return "\n".join(
        [
            *played.steps,
            f"seed {played.seed}: {played.violation}",
            f"{len(played.steps)} steps, {wishes} wishes, {len(faults)} faults: {' '.join(faults)}",
            f"{shrunk.tries} tries",
            f"replay: make sim LANE={lane} SEED={played.seed} ONLY={only} TRACE=1",
        ]
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Shrink the trace of a seed that fails.")
    parser.add_argument("--lane", choices=sorted(LANES), default="owner")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--tries", type=int, default=TRIES_MAX, help="how many replays to make at most")
    given = parser.parse_args()
    try:
        shrunk = shrink(play_of(given.lane), given.seed, given.tries)
    except ValueError as good:
        sys.exit(str(good))
    # Replayed as the command below would: what is printed is what one gets.
    again = play_of(given.lane)(given.seed, AllBut(shrunk.only))
    assert again.trace_hash == shrunk.played.trace_hash, "the replay is another trace"
    print(told(shrunk, given.lane))
    sys.exit(1)


if __name__ == "__main__":
    main()
