"""Plays seeds: `python -m tests.simulation.seeds --seeds 500` or, to see one, `--seed 42 --trace`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Container

from tests.simulation.faults import AllBut
from tests.simulation.playing import LANES, play_of
from tests.simulation.tally import Tally, chunks_of, played_by_many


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Play seeds of the simulator.")
    parser.add_argument("--lane", choices=sorted(LANES), default="owner")
    parser.add_argument("--seeds", type=int, default=500, help="how many seeds")
    parser.add_argument("--seed", type=int, default=0, help="the first one; alone with --trace")
    parser.add_argument("--trace", action="store_true", help="print every step of one seed")
    parser.add_argument("--only", default="", help="with --trace: the faults and wishes that may happen, by number")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    given = parser.parse_args()
    if given.trace:
        sys.exit(_trace(given.lane, given.seed, given.only))
    tally = _play(given.lane, given.seed, given.seeds, given.jobs)
    if given.json:
        print(json.dumps(_counts(given.lane, given.seed, tally)))
    else:
        faults = " ".join(f"{name}={count}" for name, count in sorted(tally.fired.items()))
        told = f"{tally.seeds} seeds of {given.lane} from {given.seed} on, {len(tally.violations)} violations"
        print(f"{told}, {tally.cpu_s:.0f} s of CPU; faults: {faults}")
    for seed, violation in sorted(tally.violations.items())[:10]:
        command = f"LANE={given.lane} SEED={seed}"
        print(f"seed {seed}: {violation}\n  replay: make sim {command} TRACE=1, or make sim-shrink {command}")
    sys.exit(bool(tally.violations))


def _trace(lane: str, seed: int, only: str) -> int:
    suppressed: Container[int] = AllBut({int(number) for number in only.split(",")}) if only else frozenset()
    played = play_of(lane)(seed, suppressed)
    print("\n".join(played.steps))
    print(f"seed {played.seed}: {played.violation or 'good'}, trace {played.trace_hash}")
    return int(bool(played.violation))


def _play(lane: str, first: int, count: int, jobs: int) -> Tally:
    tally = Tally()
    for _, part in played_by_many(lane, chunks_of(first, count), jobs):
        tally.add(part)
        if sys.stderr.isatty():
            filled = 30 * tally.seeds // count
            bad = f", {len(tally.violations)} violations" if tally.violations else ""
            print(f"\r[{'#' * filled:30}] {tally.seeds}/{count} seeds{bad}", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return tally


def _counts(lane: str, first: int, tally: Tally) -> dict[str, object]:
    return {
        "lane": lane,
        "first_seed": first,
        "seeds": tally.seeds,
        "violations": len(tally.violations),
        "cpu_s": round(tally.cpu_s, 1),
        "faults": dict(sorted(tally.fired.items())),
    }


if __name__ == "__main__":
    main()
