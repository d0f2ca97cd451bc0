"""Counts of many seeds, played in processes of their own."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.simulation.playing import play_of

CHUNK = 25
"""Seeds that a process plays before it tells."""


@dataclass(slots=True)
class Tally:
    """What some seeds came to."""

    seeds: int = 0
    cpu_s: float = 0.0
    fired: Counter[str] = field(default_factory=Counter)
    violations: dict[int, str] = field(default_factory=dict)
    """By seed."""

    def add(self, other: Tally) -> None:
        """Takes in what other seeds came to."""
        self.seeds += other.seeds
        self.cpu_s += other.cpu_s
        self.fired.update(other.fired)
        self.violations.update(other.violations)


def played(lane: str, first: int, count: int) -> Tally:
    """Plays `count` seeds from `first` on in this process."""
    began, tally = time.process_time(), Tally(count)
    play = play_of(lane)
    for seed in range(first, first + count):
        one = play(seed)
        tally.fired.update(one.fired)
        if one.violation:
            tally.violations[seed] = one.violation
    tally.cpu_s = time.process_time() - began
    return tally


def chunks_of(first: int, count: int) -> list[range]:
    """`count` seeds from `first` on, in chunks."""
    return [range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)]


def played_by_many(lane: str, chunks: Iterable[range], jobs: int) -> Generator[tuple[range, Tally], None, None]:
    """Plays chunks of seeds in `jobs` processes; yields each when it is done, in whatever order."""
    if jobs == 1:
        yield from ((chunk, played(lane, chunk.start, len(chunk))) for chunk in chunks)
        return
    # Ctrl-c ends the one that counts; the others finish their chunk.
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    ) as pool:
        under_way: dict[Future[Tally], range] = {}
        try:
            for chunk in chunks:
                under_way[pool.submit(played, lane, chunk.start, len(chunk))] = chunk
                if len(under_way) < 2 * jobs:
                    continue
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                yield from ((under_way.pop(one), one.result()) for one in done)
            while under_way:
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                yield from ((under_way.pop(one), one.result()) for one in done)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
