"""Adds up seeds over days: `python -m tests.simulation.soak --lane owner --seeds 50000 --minutes 30`.

Goes on where the last run of the same code ended, however that ended, and keeps docs/soak.json and docs/soak.md up to
date. A row of the report is of one state of the lane's code, known by its hash: other code begins another row.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import closing

from tests.simulation.closure import code_hash
from tests.simulation.playing import LANES
from tests.simulation.soak_report import Report, Row
from tests.simulation.tally import CHUNK, chunks_of, played_by_many

FLUSH_S = 10


class CodeChanged(Exception):
    """The code is another one than the row's: nothing more can be added to it."""


def missing(row: Row, lane: str, seeds: int) -> list[range]:
    """Which chunks of the seeds from 0 on were not played yet; the last one is whole, too."""
    done = row.chunks(lane)
    return [chunk for chunk in chunks_of(0, -(-seeds // CHUNK) * CHUNK) if chunk.start not in done]


def soak(report: Report, lane: str, seeds: int, minutes: float, jobs: int) -> int:
    """Plays what is missing within the time; returns how many violations the row has."""
    began = time.monotonic()
    row = report.load(code_hash(LANES[lane]))
    flushed = began
    with closing(played_by_many(lane, missing(row, lane, seeds), jobs)) as results:
        try:
            for chunk, tally in results:
                row.add(lane, chunk, tally)
                now = time.monotonic()
                if now - flushed > FLUSH_S:
                    flushed = now
                    _flush(report, row, lane)
                    _tell(row, lane, seeds, now - began)
                if now - began > minutes * 60:
                    break
        except KeyboardInterrupt:
            print("\nended; go on with the same command", file=sys.stderr)
    _flush(report, row, lane)
    _tell(row, lane, seeds, time.monotonic() - began)
    return len(row.violations(lane))


def _flush(report: Report, row: Row, lane: str) -> None:
    if code_hash(LANES[lane]) != row.code_hash:
        raise CodeChanged("the code has changed since this run began: what it played since is not counted")
    report.save(row)


def _tell(row: Row, lane: str, seeds: int, elapsed_s: float) -> None:
    done = row.seeds(lane)
    filled = 30 * done // max(seeds, 1)
    end = "\r" if sys.stderr.isatty() else "\n"
    bad = len(row.violations(lane))
    bar = f"[{'#' * min(filled, 30):30}] {lane} {done}/{seeds} seeds, {bad} violations, {elapsed_s:.0f} s"
    print(bar, end=end, file=sys.stderr)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Add up seeds into docs/soak.md.")
    parser.add_argument("--lane", choices=sorted(LANES), default="owner")
    parser.add_argument("--seeds", type=int, default=50_000, help="how many seeds shall have been played in all")
    parser.add_argument("--minutes", type=float, default=60, help="end after this time")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    given = parser.parse_args()
    try:
        violations = soak(Report(), given.lane, given.seeds, given.minutes, given.jobs)
    except CodeChanged as changed:
        sys.exit(str(changed))
    sys.exit(f"{violations} violations: see docs/soak.md" if violations else 0)


if __name__ == "__main__":
    main()
