"""How long a backup takes and a restore of it, of a long log: `make bench-backup`, or

    python -m bench.backup [--events 100000] [--journal sqlite|kafka] [--dir FOLDER] [--json]

An installation is made, its log of payments filled as for a cold start (`bench.cold`: cash-ins, one event each, in
blocks as under some load), and one person signs in for each partition. What is measured are `chapar backup` and `chapar
restore` as an operator runs them, whole processes from start to end, with nothing else running: the copy; a second copy
right after it, which continues the first; and the restore into an empty installation of the same kind, which reads back
and folds all that it has written. Writes `bench/out/backup-JOURNAL.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.cold import BLOCK_COMMANDS, Cold
from bench.figures import Figure
from bench.progress import Bars
from bench.report import tell
from tools.kafka_server import KafkaCluster


async def operated(*arguments: str) -> tuple[float, dict[str, Any]]:
    """Runs an operator's command; the seconds it took and what it said. Raises `RuntimeError` where it failed."""
    began = time.monotonic()
    command = (sys.executable, "-m", "chapar_client", *arguments, "--json")
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    output, errors = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments[:1])}: {errors.decode()}")
    return time.monotonic() - began, json.loads(output.splitlines()[-1])


async def measure(given: argparse.Namespace, folder: Path, bars: Bars) -> list[Figure]:
    """All of it in one folder."""
    kafka, first, second, copy = given.journal == "kafka", folder / "first", folder / "second", folder / "copy"
    figures: list[Figure] = []

    def note(what: str, seconds: float, said: dict[str, Any]) -> None:
        records, mb = said["records"], said["bytes"] / 1e6
        told = f"{given.events:,} cash-ins, {BLOCK_COMMANDS} a block, on {given.journal}"
        figures.append(Figure("backup", f"{what}, time", seconds, "s", f"{told}: {records:,} records, {mb:.1f} MB"))
        if records:
            speed = f"{records / seconds:,.0f} records/s"
            figures.append(Figure("backup", f"{what}, speed", mb / seconds, "MB/s", speed))

    with ExitStack() as servers:
        broker = servers.enter_context(KafkaCluster(first / "kafka", 1)).bootstrap if kafka else ""
        cold = Cold(first, broker)
        with bars.step("an installation is made"):
            await cold.make()
        with bars.step(f"{given.events:,} events on {given.journal}", given.events) as advance:
            await cold.fill(given.events, advance)
        with bars.step("people sign in", 16) as advance:
            await cold.prepare(advance)
        source = ("backup", "--to", str(copy), "--data", str(first / "data"), *(("--kafka", broker) if kafka else ()))
        for what in ("backup", "backup continued"):
            with bars.step(what):
                note(what, *await operated(*source))
    shutil.copytree(first / "data" / "secrets", second / "data" / "secrets")
    with ExitStack() as servers:
        broker = servers.enter_context(KafkaCluster(second / "kafka", 1)).bootstrap if kafka else ""
        target = (
            "restore",
            "--from",
            str(copy),
            "--data",
            str(second / "data"),
            *(("--kafka", broker) if kafka else ()),
        )
        with bars.step("restore"):
            note("restore", *await operated(*target, *(("--kafka", broker) if kafka else ())))
    return figures


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--journal", choices=("sqlite", "kafka"), default="kafka")
    parser.add_argument("--dir", type=Path, help="a new folder that is kept")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    with ExitStack() as closing:
        folder = given.dir or Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="chapar-bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        figures = asyncio.run(measure(given, folder.resolve(), closing.enter_context(Bars())))
    tell(f"backup-{given.journal}", figures, as_json=given.json)


if __name__ == "__main__":
    main()
