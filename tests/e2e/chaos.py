"""Mixed load while processes, brokers and database are killed, stopped, asked to end; and when all has come to rest,
everything is compared.

    python -m tests.e2e.chaos --seed 1 --faults 20 [--brokers 3] [--kinds fence] [--rounds 5] [--report docs/chaos.json]

A round is a seed on a fresh installation with several processes of each service. With a report, what that has already
of the same code is not run again, so that a run that was ended goes on where it was; lines of other code go when the
first of this code is there. Exits with 1 when anything was found. `docs/chaos.md` is made of the report.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from chapar_client.up import OWNERS
from chapar_sourcing.fold import Verdict
from tests.e2e.crowd import REPLICAS, Crowd, crowd
from tests.e2e.disturbing import ACKNOWLEDGED_BETWEEN
from tests.e2e.faults import Disturbance, Fault, plan
from tests.e2e.history import LookAtRoom, LookAtWallet, Outcome, Recorder
from tests.e2e.law import Law
from tests.e2e.load import CASH_IN_RIALS, PEOPLE, Arena
from tests.e2e.rest import problems_at_rest
from tests.e2e.soak_kills import COUNTED
from tests.simulation.closure import folders_hash
from tests.simulation.soak_report import commit
from tools.small_disk import mount_alone

KINDS = {fault.name.lower().replace("_", "-"): fault for fault in Fault}


@dataclass(frozen=True, slots=True)
class Run:
    """One round."""

    seed: int
    code: str
    """Hash of the code that ran, see `COUNTED`."""
    commit: str
    faults: dict[str, int]
    """How often each was done."""
    acknowledged: int
    """Writes whose clients were told so."""
    reads: int
    unknown: int
    """Writes whose clients never knew."""
    unavailable: int
    """Writes and reads that were not even sent, or could not be answered in time."""
    void: int
    """Records of the journals that came too late and count for nobody."""
    seconds: int
    problems: list[str]
    brokers: int = 1
    """Each with a copy of every topic, all but one of them in sync."""
    longest: str = ""
    """The fault after which it took longest until so many calls were answered again, and how long, itself included."""
    network: dict[str, dict[str, int]] = field(default_factory=dict)
    """What passed between services and each server, and between people and gateway, and what was done to it."""


async def run(seed: int, count: int, kinds: list[Fault], folder: Path, brokers: int) -> Run:
    """Plays one round; all checks at the end."""
    began_s = time.monotonic()
    async with crowd(folder, brokers=brokers) as playing:
        arena = await Arena.open(playing.stage, seed=seed)
        planned = plan(kinds, count, playing.stage.up.installation.processes, seed, brokers=brokers)
        took = await _disturbed(playing, arena, seed, [*planned])
        problems = await problems_at_rest(arena)
        law = Law(playing.stage)
        await law.ask("the load")
        await playing.stage.leave()
        await playing.stage.up.stop()
        problems += await law.problems()
        problems += _books_wrong((await law.recomputed("payments")).totals)
        void = sum([(await law.verdicts(service))[Verdict.VOID] for service in OWNERS])
    done = Counter(disturbance.fault.value for disturbance, _ in took)
    longest, longest_s = max(took, key=lambda one: one[1])
    if Fault.FENCE in kinds and done[Fault.FENCE.value] >= FENCES_MIN and not void:
        problems.append("nothing was ever written too late: fencing was not put to the test")
    counts = _counted(arena.recorder)
    return Run(
        seed, folders_hash(*COUNTED), commit(), dict(done),
        counts[False, Outcome.OK], counts[True, Outcome.OK],
        counts[False, Outcome.UNKNOWN], counts[False, Outcome.REFUSED] + counts[True, Outcome.REFUSED],
        void, round(time.monotonic() - began_s), problems, brokers,
        f"{longest_s:.0f} s, {longest}",
        {name: asdict(passed) for name, passed in playing.network.passed.items()},
    )  # fmt: skip


FENCES_MIN = 5
"""From so many rounds on some of what was under way must have come too late."""


async def _disturbed(
    playing: Crowd, arena: Arena, seed: int, planned: list[Disturbance]
) -> list[tuple[Disturbance, float]]:
    took = []
    async with arena.load() as recorder:
        await arena.more(ACKNOWLEDGED_BETWEEN)
        for number, disturbance in enumerate(planned, 1):
            took_s = await playing.disturb(arena, disturbance)
            took.append((disturbance, took_s))
            told = f"seed {seed}  {number:>3}/{len(planned)}  {disturbance!s:<38}  {took_s:>5.1f} s"
            print(f"{told}  {recorder.acknowledged:>6} acknowledged", flush=True)
    return took


def _books_wrong(totals: Mapping[str, int]) -> list[str]:
    """What came in is in wallets, now that nothing is on its way."""
    rials = PEOPLE * CASH_IN_RIALS
    due = {"cash_in_rials": rials, "wallets_rials": rials, "in_transit_rials": 0}
    return [] if totals == due else [f"the books add up to {totals}, due are {due}"]


def _counted(recorder: Recorder) -> Counter[tuple[bool, Outcome]]:
    counts = Counter[tuple[bool, Outcome]]()
    for one in recorder.operations():
        counts[isinstance(one, LookAtRoom | LookAtWallet), one.outcome] += 1
    return counts


def write(report: Path, runs: list[Run]) -> None:
    """The report, and the page that people read."""
    ordered = sorted(runs, key=lambda run: (run.brokers, run.seed))
    report.write_text(json.dumps([asdict(run) for run in ordered], indent=1, ensure_ascii=False) + "\n", "utf-8")
    several = ", ".join(f"{count} processes of {service}" for service, count in REPLICAS.items())
    lines = [
        "# Faults under load, on a broker and a database", "",
        f"Made by `python -m tests.e2e.chaos`; each line is one fresh installation with {several},",
        "on so many Kafka brokers, each with a copy of every topic, all but one of them in sync, and one database of",
        "MongoDB's protocol (SecantusDB, not a real mongod). *Torn*: connections cut in mid-request.", "",
        "| brokers | seed | commit | faults | torn | acknowledged writes | reads | unknown for ever | void records"
        " | longest until all went on | found |",
        "|---:|---:|---|---|---:|---:|---:|---:|---:|---|---:|",
    ]  # fmt: skip
    for one in ordered:
        faults = ", ".join(f"{count} {kind}" for kind, count in sorted(one.faults.items()))
        lines.append(
            f"| {one.brokers} | {one.seed} | {one.commit} | {faults}"
            f" | {sum(passed['torn'] for passed in one.network.values()):,} | {one.acknowledged:,} | {one.reads:,}"
            f" | {one.unknown:,} | {one.void:,} | {one.longest} | {len(one.problems)} |"
        )
    report.with_suffix(".md").write_text("\n".join(lines) + "\n", "utf-8")


@contextmanager
def _folder(kept: Path | None, seed: int) -> Iterator[Path]:
    if kept is not None:
        (kept / f"{seed}").mkdir(parents=True)
        yield (kept / f"{seed}").resolve()
        return
    with tempfile.TemporaryDirectory(prefix="chapar-chaos-") as folder:
        yield Path(folder)


def main() -> int:
    """Runs the rounds that the report lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--faults", type=int, default=20, help="in a round")
    parser.add_argument("--brokers", type=int, default=1, choices=range(1, 10))
    parser.add_argument("--kinds", nargs="+", choices=[*KINDS], default=[*KINDS])
    parser.add_argument("--report", type=Path)
    parser.add_argument("--dir", type=Path, help="an empty folder for all that the rounds leave; one that goes else")
    given = parser.parse_args()
    mount_alone()
    report: Path | None = given.report
    runs = [Run(**one) for one in json.loads(report.read_text("utf-8"))] if report and report.exists() else []
    runs = [one for one in runs if one.code == folders_hash(*COUNTED)]
    for seed in range(given.seed, given.seed + given.rounds):
        kinds = {KINDS[kind].value for kind in given.kinds}
        asked = (given.brokers, seed, given.faults)
        if any((one.brokers, one.seed, sum(one.faults.values())) == asked and {*one.faults} <= kinds for one in runs):
            continue
        with _folder(given.dir, seed) as folder:
            done = asyncio.run(run(seed, given.faults, [KINDS[kind] for kind in given.kinds], folder, given.brokers))
        runs.append(done)
        if report is not None:
            write(report, runs)
        print(json.dumps(asdict(done), ensure_ascii=False), flush=True)
    return 1 if any(one.problems for one in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
