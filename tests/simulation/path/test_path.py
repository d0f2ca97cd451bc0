"""The whole path over many seeds, and the proof that the simulator is deterministic and fires its faults."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.path.cutting import play_cut
from tests.simulation.path.faults import EFFECTS, Rates
from tests.simulation.path.run import play

SEEDS = 60


def test_the_whole_path_keeps_its_promises() -> None:
    fired: Counter[str] = Counter()
    for seed in range(SEEDS):
        played = play(seed)
        assert not played.violation, f"seed {seed}: {played.violation}; replay with: make sim LANE=path SEED={seed}"
        fired.update(played.fired)
    never = [name for name in (*Rates().by_name(), *EFFECTS) if not fired[name]]
    assert not never, f"these faults never fired: {never}"


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_same_seed_gives_the_same_trace_in_another_process(hash_seed: str) -> None:
    command = "from tests.simulation.path.run import play; print(play(7).trace_hash, play(11).trace_hash)"
    elsewhere = subprocess.run(
        [sys.executable, "-c", command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    assert elsewhere.stdout.split() == [play(7).trace_hash, play(11).trace_hash]


@pytest.mark.parametrize("seed", range(24))
def test_a_log_that_lost_records_is_noticed_and_not_decided_upon(seed: int) -> None:
    assert play_cut(seed)
