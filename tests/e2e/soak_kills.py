"""Each service killed 20 times with -9 and stopped 10 times under load, on a fresh installation each; adds up runs.

    python -m tests.e2e.soak_kills --rounds 1 [--services messaging payments] [--report docs/soak_kills.json]

A round is a seed; what the report has already of the same code is not run again, so that a run that was ended goes on
where it was. Lines of other code go when the first of this code is there.
Exits with 1 when anything was found. `docs/soak_kills.md` is made of the report.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from chapar_client.demo import Stage
from chapar_client.up import SERVICES
from tests.e2e.disturbing import ACKNOWLEDGED_BETWEEN, disturb, plan
from tests.e2e.history import LookAtRoom, LookAtWallet, Outcome
from tests.e2e.law import Law
from tests.e2e.load import Arena
from tests.e2e.rest import problems_at_rest
from tests.simulation.closure import folders_hash
from tests.simulation.soak_report import commit

KILLS = 20
STOPS = 10
REPORT = Path("docs/soak_kills.json")
COUNTED = ("libs", "services", "clients", "tests/e2e")


@dataclass(frozen=True, slots=True)
class Run:
    """One service on one installation."""

    service: str
    seed: int
    code: str
    """Hash of the code that ran, see `COUNTED`."""
    commit: str
    kills: int
    stops: int
    acknowledged: int
    """Writes whose clients were told so."""
    reads: int
    unknown: int
    """Writes whose clients never knew."""
    unavailable: int
    """Writes and reads that were not even sent, or could not be answered in time."""
    seconds: int
    problems: list[str]


async def run(service: str, seed: int, kills: int, stops: int, folder: Path) -> Run:
    """Plays one service; all checks at the end."""
    began_s = time.monotonic()
    with (folder / "services.log").open("w", encoding="utf-8") as log:
        async with Stage(folder, on_line=lambda line: print(line.text, file=log, flush=True)) as stage:
            arena = await Arena.open(stage, seed=seed)
            async with arena.load() as recorder:
                await arena.more(ACKNOWLEDGED_BETWEEN)
                for number, disturbance in enumerate(plan(service, kills=kills, stops=stops, seed=seed), 1):
                    await disturb(arena, disturbance)
                    _show(service, seed, number, kills + stops, recorder.acknowledged, time.monotonic() - began_s)
            problems = await problems_at_rest(arena)
            law = Law(stage)
            await law.ask("the load")
        problems += await law.problems()
    counts = Counter[tuple[bool, Outcome]]()
    for one in recorder.operations():
        counts[isinstance(one, LookAtRoom | LookAtWallet), one.outcome] += 1
    return Run(
        service, seed, folders_hash(*COUNTED), commit(), kills, stops,
        counts[False, Outcome.OK], counts[True, Outcome.OK],
        counts[False, Outcome.UNKNOWN], counts[False, Outcome.REFUSED] + counts[True, Outcome.REFUSED],
        round(time.monotonic() - began_s), problems,
    )  # fmt: skip


def _show(service: str, seed: int, done: int, of: int, acknowledged: int, seconds: float) -> None:
    print(f"{service:<10} seed {seed}  {done:>2}/{of}  {acknowledged:>6} acknowledged  {seconds:>5.0f} s", flush=True)


def write(report: Path, runs: list[Run]) -> None:
    """The report, and the page that people read."""
    ordered = sorted(runs, key=lambda run: (SERVICES.index(run.service), run.seed))
    report.write_text(json.dumps([asdict(run) for run in ordered], indent=1, ensure_ascii=False) + "\n", "utf-8")
    lines = [
        "# Services killed and stopped under load", "",
        "Made by `python -m tests.e2e.soak_kills`; each line is one service on one fresh installation on SQLite.", "",
        "| service | seed | commit | kill -9 | stop, continue | acknowledged writes | reads | unknown for ever"
        " | found |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for one in ordered:
        lines.append(
            f"| {one.service} | {one.seed} | {one.commit} | {one.kills} | {one.stops}"
            f" | {one.acknowledged:,} | {one.reads:,} | {one.unknown:,} | {len(one.problems)} |"
        )
    report.with_suffix(".md").write_text("\n".join(lines) + "\n", "utf-8")


def main() -> int:
    """Runs what the report lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--services", nargs="+", choices=SERVICES, default=list(SERVICES))
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--stops", type=int, default=STOPS)
    parser.add_argument("--report", type=Path, default=REPORT)
    given = parser.parse_args()
    runs = [Run(**one) for one in json.loads(given.report.read_text("utf-8"))] if given.report.exists() else []
    code = folders_hash(*COUNTED)
    runs = [one for one in runs if one.code == code]
    have = {(one.service, one.seed) for one in runs}
    for seed in range(1, given.rounds + 1):
        for service in given.services:
            if (service, seed) in have:
                continue
            with tempfile.TemporaryDirectory(prefix="chapar-kills-") as folder:
                done = asyncio.run(run(service, seed, given.kills, given.stops, Path(folder)))
            runs.append(done)
            write(given.report, runs)
            print("\n".join(done.problems) or f"{service}: nothing found", flush=True)
    return 1 if any(one.problems for one in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
