"""The simulator over many seeds, and the proof that it would notice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import fields

import pytest

from chapar_sourcing.owner import Owner
from tests.simulation.faults import Rates
from tests.simulation.mutants import NODES, OWNERS
from tests.simulation.node import Node
from tests.simulation.run import play

SEEDS = 500
CHUNK = 50


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_acknowledged_is_lost_doubled_or_reordered(first: int) -> None:
    fired: Counter[str] = Counter()
    for seed in range(first, first + CHUNK):
        played = play(seed)
        assert not played.violation, f"seed {seed}: {played.violation}; replay with: make sim SEED={seed} TRACE=1"
        fired.update(played.fired)
    never = [rate.name for rate in fields(Rates) if not fired[rate.name]]
    assert not never, f"these faults never fired: {never}"


@pytest.mark.parametrize("owner_class", OWNERS, ids=lambda cls: cls.__name__)
def test_planted_owner_bug_is_caught(owner_class: type[Owner]) -> None:
    assert any(play(seed, owner_class).violation for seed in range(SEEDS)), f"{owner_class.__doc__} went unnoticed"


@pytest.mark.parametrize("node_class", NODES, ids=lambda cls: cls.__name__)
def test_planted_projector_bug_is_caught(node_class: type[Node]) -> None:
    assert any(play(seed, node_class=node_class).violation for seed in range(SEEDS)), f"{node_class.__doc__} unnoticed"


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
