"""Runs every command that a runbook names, on running installations, and says how each ended.

    python -m tools.watch_books [--report docs/runbooks.json]

Two installations: one on files, and one on a real broker and a real database with several processes of some services.
The commands are taken from the runbooks as they stand; addresses, folders and sizes of topics are filled in. That a
command does what its page hopes for is for the tests of the command; what pages say besides commands is not carried
out here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from chapar_client.demo import Stage
from tools.kafka_server import KafkaServer
from tools.mongo_server import MongoServer
from tools.watch import runbooks

REPLICAS = {"identity": 2, "messaging": 3, "payments": 2}
COMMAND_S_MAX = 120.0
NEEDS_SERVERS = ("owners move", "topics", "database")
"""Commands of installations with a broker, a database and several processes."""
OF_PEOPLE = ("canary", "wallet")
"""Commands of people, who call a gateway and have no data folder."""
CANARIES = ("canary-1", "canary-2")


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    command: str
    """As it stands in runbooks."""
    books: Sequence[str]
    on: str
    """ "files" or "servers"."""
    status: int
    said: str
    """The last it said."""


def commands() -> Mapping[str, Sequence[str]]:
    """Each command of ours, with the runbooks that name it."""
    found: dict[str, list[str]] = {}
    for book in runbooks.books():
        for line in runbooks.commands(book.read_text(encoding="utf-8")):
            found.setdefault(line, []).append(book.stem)
    return found


def on(command: str) -> str:
    """Which of the two installations a command is for."""
    return "servers" if command.removeprefix("chapar ").startswith(NEEDS_SERVERS) else "files"


async def run(command: str, books: Sequence[str], filled: Sequence[str], stage: Stage) -> Ran:
    """Runs one, for two minutes at most."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chapar_client", *filled, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "CHAPAR_HOME": str(stage.folder), "CHAPAR_GATEWAY": stage.up.gateway_address},
    )  # fmt: skip
    async with asyncio.timeout(COMMAND_S_MAX):
        output, _ = await process.communicate()
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    print(f"watch: {command}: {process.returncode}", file=sys.stderr, flush=True)
    return Ran(command, books, on(command), process.returncode or 0, lines[-1][:200] if lines else "")


async def on_files(folder: Path) -> Sequence[Ran]:
    """Those of an installation on files; what they restore is copied here, what they drop is rebuilt."""
    async with Stage(folder / "one") as stage:
        one, other = await stage.person("الف"), await stage.person("ب")
        await one.say(one.with_(other), "سلام")
        await stage.cash_in(one, 10_000)
        for person, profile in zip((one, other), CANARIES, strict=True):
            person.folder.with_name(profile).symlink_to(person.folder)
        copy, new, data = folder / "copy", folder / "new", stage.data_dir
        for words in (("backup", "--to", str(copy)), ("rebuild", "messaging")):
            made = await run(f"(before) chapar {words[0]}", (), (*words, "--data", str(data)), stage)
            if made.status:
                raise RuntimeError(f"chapar {words[0]}: {made.said}")
        shutil.copytree(data / "secrets", new / "secrets")
        places = {"/path/to/copy": str(copy), "/path/to/new": str(new)}
        return await _all("files", stage, lambda words: _with_data([places.get(word, word) for word in words], data))


async def on_servers(folder: Path) -> Sequence[Ran]:
    """Those of an installation with a broker, a database and several processes."""
    with KafkaServer(folder / "kafka") as broker, MongoServer(folder / "mongo") as database:
        stage = Stage(folder / "two", kafka=broker.bootstrap, mongo=database.uri, replicas=REPLICAS)
        async with stage:
            places = {"HOST:PORT": broker.bootstrap, "mongodb://HOST:PORT/": database.uri}

            def filled(words: Sequence[str]) -> Sequence[str]:
                words = [places.get(word, word) for word in words]
                if words[0] == "topics":
                    return [*words, "--partitions", "16", "--replicas", "1"]
                return words if words[0] == "database" else _with_data(words, stage.data_dir)

            return await _all("servers", stage, filled)


async def _all(where: str, stage: Stage, fill: Callable[[Sequence[str]], Sequence[str]]) -> Sequence[Ran]:
    chosen = {command: books for command, books in commands().items() if on(command) == where}
    return [await run(command, books, fill(shlex.split(command)[1:]), stage) for command, books in chosen.items()]


def _with_data(words: Sequence[str], data: Path) -> Sequence[str]:
    return words if "--data" in words or words[0] in OF_PEOPLE else [*words, "--data", str(data)]


async def everything(folder: Path) -> Sequence[Ran]:
    """Both installations, one after the other."""
    return [*await on_files(folder), *await on_servers(folder)]


def _told(ran: Sequence[Ran]) -> Iterator[str]:
    for one in ran:
        yield f"{one.status}  {one.command}  ({one.on}): {one.said}"


def main() -> int:
    """Runs what the command line says; 1 when a command failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, help="where the report is written as well")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chapar-books-") as folder:
        ran = asyncio.run(everything(Path(folder)))
    print(*_told(ran), sep="\n")
    if given.report:
        # What was said last names folders and ports of the moment.
        rows = [{key: value for key, value in asdict(one).items() if key != "said"} for one in ran]
        given.report.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if any(one.status for one in ran) else 0


if __name__ == "__main__":
    sys.exit(main())
