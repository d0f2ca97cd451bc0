"""Members over many seeds, and the proof that this lane is deterministic and fires its faults."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.members.faults import EFFECTS, Rates
from tests.simulation.members.run import play
from tests.simulation.members.silence import Outage, silence

SEEDS = 16
SELDOM = {"peer_doubled", "peer_late", "peer_lost", "peer_reply_lost", "stream_read_fails", "stop_amid_failure"}
"""Faults of the path that its own lane fires; here they need more seeds than a test plays."""


def test_members_keep_their_promises() -> None:
    fired: Counter[str] = Counter()
    for seed in range(SEEDS):
        played = play(seed)
        assert not played.violation, f"seed {seed}: {played.violation}; replay with: make sim LANE=members SEED={seed}"
        fired.update(played.fired)
    never = {name for name in (*Rates().by_name(), *EFFECTS) if not fired[name]} - SELDOM
    assert not never, f"these faults never fired: {never}"


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_same_seed_gives_the_same_trace_in_another_process(hash_seed: str) -> None:
    command = "from tests.simulation.members.run import play; print(play(3).trace_hash)"
    elsewhere = subprocess.run(
        [sys.executable, "-c", command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    assert elsewhere.stdout.split() == [play(3).trace_hash]


def test_silence_is_the_longest_time_without_a_beat() -> None:
    assert silence([1.0, 1.5, 1.9], [], 0.5, 3.0, []).seconds == pytest.approx(1.1)
    assert silence([], [], 0.5, 3.0, []).seconds == pytest.approx(2.5)


def test_an_outage_is_no_silence_nor_is_the_time_after_it_for_who_beat_before() -> None:
    steady = [0.3 * n for n in range(200)]
    long, short = Outage(20.0, 23.0), Outage(20.0, 20.8)
    for by, outage, seconds in ((steady, long, 0.9), (steady, short, 5.3), ([19.0], long, 3.1)):
        found = silence([19.9, 26.0], by, 19.5, 26.0, [outage])
        assert found.seconds == pytest.approx(seconds)
        assert found.met_outage
