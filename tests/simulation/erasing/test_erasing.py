"""Erasing over many seeds, and the proof that it would be noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.erasing.planted import BUGS
from tests.simulation.erasing.run import play
from tests.simulation.erasing.stage import Rates
from tests.simulation.mutants import Patch, patched

SEEDS = 100
CHUNK = 25


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_what_is_erased_is_read_by_nobody_and_all_else_by_everybody(first: int) -> None:
    fired: Counter[str] = Counter()
    for seed in range(first, first + CHUNK):
        played = play(seed)
        assert not played.violation, f"seed {seed}: {played.violation}; replay with: make sim LANE=erasing SEED={seed}"
        fired.update(played.fired)
    never = [name for name in Rates().by_name() if not fired[name]]
    assert not never, f"these faults never fired: {never}"


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_planted_bug_is_caught(bug: type[Patch]) -> None:
    with patched(bug):
        assert any(play(seed).violation for seed in range(SEEDS)), f"{bug.__doc__} went unnoticed"


def test_same_seed_gives_the_same_trace_in_another_process() -> None:
    command = "from tests.simulation.erasing.run import play; print(play(7).trace_hash, play(11).trace_hash)"
    elsewhere = subprocess.run(
        [sys.executable, "-c", command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    assert elsewhere.stdout.split() == [play(7).trace_hash, play(11).trace_hash]
