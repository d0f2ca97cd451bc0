"""The simulator over many seeds. That it would notice is shown by the planted bugs, which `make sim-ci` plays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.faults import EFFECTS, AllBut, Rates
from tests.simulation.mutants import play_with
from tests.simulation.planted_storing import WritesTheCheckpointFirst
from tests.simulation.run import play
from tests.simulation.shrink import shrink

SEEDS = 500
CHUNK = 50
STEPS_LONG = 20
STEPS_LEFT_MAX = 8


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_acknowledged_is_lost_doubled_or_reordered(first: int) -> None:
    fired: Counter[str] = Counter()
    for seed in range(first, first + CHUNK):
        played = play(seed)
        assert not played.violation, f"seed {seed}: {played.violation}; replay with: make sim SEED={seed} TRACE=1"
        fired.update(played.fired)
    never = [name for name in (*Rates().by_name(), *EFFECTS) if not fired[name]]
    assert not never, f"these faults never fired: {never}"


def test_same_seed_gives_the_same_trace_in_another_process() -> None:
    command = "from tests.simulation.run import play; print(play(7).trace_hash)"
    elsewhere = subprocess.run(
        [sys.executable, "-c", command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    assert elsewhere.stdout.strip() == play(7).trace_hash


def test_a_suppressed_fault_does_not_fire_and_earlier_ones_stay() -> None:
    whole = play(7)
    last = whole.faults[-1]
    without = play(7, frozenset({last.number}))
    assert last not in without.faults
    assert without.faults[: len(whole.faults) - 1] == whole.faults[:-1]


def test_the_trace_of_a_planted_bug_is_shrunk_and_still_fails() -> None:
    played = (play_with(WritesTheCheckpointFirst, seed) for seed in range(SEEDS))
    first = next(one for one in played if one.violation and len(one.steps) > STEPS_LONG)
    shrunk = shrink(
        lambda seed, suppressed=frozenset(): play_with(WritesTheCheckpointFirst, seed, suppressed), first.seed, 150
    )
    assert shrunk.played.kind == first.kind
    assert len(shrunk.played.faults) <= 3 < len(first.faults)
    assert len(shrunk.played.steps) <= STEPS_LEFT_MAX
    again = play_with(WritesTheCheckpointFirst, first.seed, AllBut(shrunk.only))
    assert (again.trace_hash, again.violation) == (shrunk.played.trace_hash, shrunk.played.violation)
