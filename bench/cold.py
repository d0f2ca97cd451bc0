"""How long payments need to start on a long log: `make bench-cold`, or

    python -m bench.cold [--events 1000000] [--journal sqlite|kafka] [--starts 3] [--dir FOLDER] [--json]

An installation is made and ended. Then an owner in this process fills the log of payments with cash-ins (one event
each), and its store; one person signs in for each partition. What is measured is the process of payments as it
is: from its start until it says that it is ready, with the store's checkpoints at the end of the log, and with no store
at all; then the whole installation, until each partition has made a payment for a client. Stores are SQLite: no
database of MongoDB's protocol that is to be had here stores millions of documents in a time worth waiting for.
With a folder that is kept, the next run there begins with the starts. Writes `bench/out/cold-JOURNAL.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.cpu import cpu_ms
from bench.figures import Figure
from bench.probes import CASH_IN_RIALS, DEADLINE_S
from bench.progress import Advance, Bars
from bench.pure import PureOwner
from bench.report import tell
from bench.rig import cash_in
from chapar.payments.journal.v1 import journal_pb2 as payments
from chapar_chassis.ports import open_owner_ports, published_topics
from chapar_client.demo import Stage
from chapar_client.sdk import Client, StateStore
from chapar_client.up import ANY_PORT, Installation
from chapar_payments.settings import PaymentsSettings
from chapar_sourcing.hosting import HostPorts
from chapar_sourcing.owner import ProjectionBatch
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.ports import Journal, JournalRecord
from tools.kafka_server import KafkaCluster

WALLETS = 10_000
CHUNK_COMMANDS = 2_000
ASIDE = "aside"
BLOCK_COMMANDS = 100
READY_S_MAX = 1_800.0
SEARCHED_MAX = 400


@dataclass(frozen=True, slots=True)
class Payer:
    """Somebody signed in whose wallet is at one partition."""

    folder: Path
    user_id: str


class Started(NamedTuple):
    """What a process took until it was ready."""

    seconds: float
    cpu_s: float


class Cold:
    """One installation, started again and again."""

    def __init__(self, folder: Path, kafka: str) -> None:
        self._folder = folder
        self._kafka = kafka
        self._installation = Installation(folder / "data", kafka=kafka)
        self._note = folder / "events"
        self._payers: list[Payer] = []
        """One for each partition."""

    @property
    def filled_events(self) -> int:
        """Events that an earlier run has filled the log with; 0 for a folder that is new."""
        return int(self._note.read_text()) if self._note.exists() else 0

    async def make(self) -> None:
        """Makes it: starts everything once."""
        async with Stage(self._folder, kafka=self._kafka):
            pass

    async def prepare(self, advance: Advance) -> None:
        """One person with money for each partition."""
        count, found = self._installation.partitions, dict[int, Payer]()
        async with Stage(self._folder, kafka=self._kafka) as stage:
            for number in range(SEARCHED_MAX):
                person = await stage.person(f"p{number}", set_name=False)
                partition = partition_of(person.user_id, count)
                if partition not in found:
                    await stage.cash_in(person, CASH_IN_RIALS)
                    found[partition] = Payer(person.folder, person.user_id)
                    advance()
                if len(found) == count:
                    break
            else:
                raise RuntimeError("people do not spread over all partitions")
        self._payers = [*found.values()]

    async def fill(self, events: int, advance: Advance) -> None:
        """Books so many cash-ins, evenly over the partitions, and stores them."""
        environment = self._installation.environment("payments", listen=ANY_PORT)
        settings = PaymentsSettings.from_environ(environment)
        async with AsyncExitStack() as closing:
            ports = (await open_owner_ports(settings, "payments", published_topics("payments", ()), closing)).host
            for partition in range(self._installation.partitions):
                users = users_at(partition, self._installation.partitions)
                numbers = range(events // self._installation.partitions)
                await fill(ports, partition, (cash_in(n, users[n % len(users)]) for n in numbers), advance)
        self._note.write_text(f"{events}")

    async def started(self) -> Started:
        """Starts the process of payments alone, and ends it once it says that it is ready."""
        command = self._installation.command("payments")
        environment = self._installation.environment("payments", listen=ANY_PORT)
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
        )
        try:
            async with asyncio.timeout(READY_S_MAX):
                while process.stdout is not None and (line := await process.stdout.readline()):
                    if b'"event": "ready"' in line:
                        return Started(time.monotonic() - began, cpu_ms(process.pid) / 1_000)
            raise RuntimeError("payments has ended before it was ready")
        finally:
            process.terminate()
            await process.communicate()

    async def all_started(self) -> tuple[float, float]:
        """Starts the whole installation; seconds until all is ready, and until each partition has made a payment."""
        began = time.monotonic()
        async with Stage(self._folder, kafka=self._kafka) as stage:
            ready = time.monotonic() - began
            pairs = zip(self._payers, [*self._payers[1:], self._payers[0]], strict=True)
            await asyncio.gather(*(_paid(stage.up.gateway_address, payer, payee) for payer, payee in pairs))
            return ready, time.monotonic() - began

    @contextmanager
    def without_store(self) -> Iterator[None]:
        """While the block runs payments has an empty store; then the old one again."""
        data = self._installation.data_dir / "payments"
        data.joinpath(ASIDE).mkdir()
        for path in data.glob("store.db*"):
            path.rename(data / ASIDE / path.name)
        try:
            yield
        finally:
            self.put_store_back()

    def put_store_back(self) -> None:
        """What `without_store` does at its end, also for a run that was ended before."""
        data = self._installation.data_dir / "payments"
        if data.joinpath(ASIDE).exists():
            for path in data.glob("store.db*"):
                path.unlink()
            for path in data.joinpath(ASIDE).iterdir():
                path.rename(data / path.name)
            data.joinpath(ASIDE).rmdir()


def users_at(partition: int, partitions: int) -> list[int]:
    """Users whose wallets are at a partition."""
    return [number for number in range(WALLETS) if partition_of(f"u{number}", partitions) == partition]


async def fill(ports: HostPorts, partition: int, commands: Iterator[payments.Command], advance: Advance) -> None:
    """Has an owner without an event loop decide commands, and writes what it wants written: as fast as that goes.

    Blocks are as long as those of a service under some load, so that what follows logs by blocks has as much to read.
    """
    batches: list[ProjectionBatch] = []
    log = await _all(ports.journal, partition)
    owner = PureOwner(
        partition=partition, journal_id=ports.journal.journal_id, log=log, block_commands=BLOCK_COMMANDS,
        on_batch=batches.append,
    )  # fmt: skip
    written, store = len(log), ports.store.at((await ports.store.editions(partition)).live)
    while chunk := list(itertools.islice(commands, CHUNK_COMMANDS)):
        owner.book(owner.commands(chunk))
        for record in owner.log[written:]:
            appended = await ports.journal.append(partition, record.data)
            if appended.offset != record.offset:
                raise RuntimeError(f"partition {partition}: {appended.offset} is not the offset {record.offset}")
        written = len(owner.log)
        await store.write_documents(partition, [one for batch in batches for one in batch.documents])
        await store.write_checkpoint(partition, batches[-1].checkpoint)
        batches.clear()
        advance(len(chunk))


async def _all(journal: Journal, partition: int) -> list[JournalRecord]:
    records: list[JournalRecord] = []
    while len(records) < await journal.end_offset(partition):
        records += await journal.read(partition, len(records))
    return records


async def _paid(address: str, payer: Payer, payee: Payer) -> None:
    async with Client(address, StateStore(payer.folder)) as client:
        await client.payments.transfer(payee.user_id, 1, timeout_s=DEADLINE_S)


async def measure(given: argparse.Namespace, folder: Path, bars: Bars) -> list[Figure]:
    """All of it in one folder."""
    with ExitStack() as closing:
        kafka = given.journal == "kafka"
        broker = closing.enter_context(KafkaCluster(folder / "kafka", 1)).bootstrap if kafka else ""
        cold = Cold(folder, broker)
        cold.put_store_back()
        if not cold.filled_events:
            with bars.step("an installation is made"):
                await cold.make()
            with bars.step(f"{given.events:,} events on {given.journal}", given.events) as advance:
                await cold.fill(given.events, advance)
        with bars.step("people sign in", 16) as advance:
            await cold.prepare(advance)
        return await _measured(cold, given, bars)


async def _measured(cold: Cold, given: argparse.Namespace, bars: Bars) -> list[Figure]:
    warm: list[Started] = []
    with bars.step("from checkpoints", given.starts + 1) as advance:
        for _ in range(given.starts):
            warm.append(await cold.started())
            bars.note(f"payments alone is ready after {warm[-1].seconds:.1f} s, {warm[-1].cpu_s:.1f} s of CPU")
            advance()
        ready, paid = await cold.all_started()
        bars.note(f"all are ready after {ready:.1f} s, and have paid after {paid:.1f} s")
    with bars.step("from zero"), cold.without_store():
        zero = await cold.started()
    bars.note(f"without a store it is ready after {zero.seconds:.1f} s, {zero.cpu_s:.1f} s of CPU")
    told = f"{cold.filled_events:,} cash-ins on {given.journal}, 16 partitions, store SQLite"

    def figure(name: str, seconds: float, how: str) -> Figure:
        return Figure("cold start", name, seconds, "s", f"{told}; {how}")

    runs = f"the longest of {given.starts} starts"
    folded = cold.filled_events / zero.cpu_s
    return [
        figure("payments alone, from checkpoints", max(warm).seconds, f"until ready, {runs}"),
        figure("payments alone, from checkpoints, CPU", max(one.cpu_s for one in warm), f"until ready, {runs}"),
        figure("all services, from checkpoints", ready, "until all are ready"),
        figure("all services, first payments", paid, "until each partition has made a payment for a client"),
        figure("payments alone, no store", zero.seconds, "until ready"),
        figure("payments alone, no store, CPU", zero.cpu_s, f"{folded:,.0f} events a CPU second"),
    ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--journal", choices=("sqlite", "kafka"), default="kafka")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="a folder that is kept, new or of an earlier run")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    with ExitStack() as closing:
        folder = given.dir or Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="chapar-bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        figures = asyncio.run(measure(given, folder.resolve(), closing.enter_context(Bars())))
    tell(f"cold-{given.journal}", figures, as_json=given.json)


if __name__ == "__main__":
    main()
