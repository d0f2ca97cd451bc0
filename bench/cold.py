"""How long payments need to start on a long log: `make bench-cold`, or

    python -m bench.cold [--events 1000000] [--journal sqlite|kafka] [--starts 3] [--dir FOLDER] [--json]

An installation is made, one person signs in for each partition, and it is ended. Then an owner of payments in this
process fills its log with cash-ins (one event each) and its store. What is measured is the process of payments as it
is: from its start until it says that it is ready, with the store's checkpoints at the end of the log, and with no store
at all; then the whole installation, until each partition has made a payment for a client. Stores are SQLite: no
database of MongoDB's protocol that is to be had here stores millions of documents in a time worth waiting for.
With a folder that is kept, the next run there begins with the starts. Writes `bench/out/cold-JOURNAL.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure
from bench.probes import CASH_IN_RIALS, DEADLINE_S
from bench.progress import Advance, Bars
from bench.report import tell
from bench.rig import book, cash_in
from chapar.payments.journal.v1 import journal_pb2 as payments
from chapar_chassis.ports import open_owner_ports, published_topics
from chapar_client.demo import Stage
from chapar_client.sdk import Client, StateStore
from chapar_client.up import ANY_PORT, Installation
from chapar_payments.domain import PaymentsDomain
from chapar_payments.published import TOPIC, public_event
from chapar_payments.reactors.erasures import EraseMemos
from chapar_payments.reactors.transits import CarryTransits
from chapar_payments.settings import PaymentsSettings
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.hosting import HostConfig, HostRules, Topic
from chapar_sourcing.partitions import partition_of
from tools.kafka_server import KafkaCluster

WALLETS = 10_000
AT_ONCE = 2_000
READY_S_MAX = 1_800.0
STORED_S_MAX = 1_800.0
SEARCHED_MAX = 400


@dataclass(frozen=True, slots=True)
class Payer:
    """Somebody signed in whose wallet is at one partition."""

    folder: Path
    user_id: str


class Cold:
    """One installation, started again and again."""

    def __init__(self, folder: Path, kafka: str) -> None:
        self._folder = folder
        self._kafka = kafka
        self._installation = Installation(folder / "data", kafka=kafka)
        self._note = folder / "events"
        self._people = folder / "people.json"
        self._payers: list[Payer] = []
        """One for each partition."""
        if self._people.exists():
            self._payers = [Payer(Path(path), user_id) for path, user_id in json.loads(self._people.read_text())]

    @property
    def filled_events(self) -> int:
        """Events that an earlier run has filled the log with; 0 for a folder that is new."""
        return int(self._note.read_text()) if self._note.exists() else 0

    async def prepare(self, advance: Advance) -> None:
        """Makes it: one person with money for each partition."""
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
        self._people.write_text(json.dumps([(str(payer.folder), payer.user_id) for payer in self._payers]))

    async def fill(self, events: int, advance: Advance) -> float:
        """Books so many cash-ins, evenly over the partitions, and stores them; the seconds it took."""
        began = time.monotonic()
        async with self._owning() as host:
            await book(host, cash_ins(events), advance, at_once=AT_ONCE, partition_of=self._partition)
            async with asyncio.timeout(STORED_S_MAX):
                while any(health.checkpoint < health.offset for health in host.health()):
                    await asyncio.sleep(0.1)
        self._note.write_text(f"{events}")
        return time.monotonic() - began

    async def started(self) -> float:
        """Starts the process of payments alone, and ends it; the seconds until it says that it is ready."""
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
                        return time.monotonic() - began
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
        aside = data / "aside"
        aside.mkdir()
        for path in data.glob("store.db*"):
            path.rename(aside / path.name)
        try:
            yield
        finally:
            for path in data.glob("store.db*"):
                path.unlink()
            for path in aside.iterdir():
                path.rename(data / path.name)
            aside.rmdir()

    def _partition(self, command: payments.Command) -> int:
        return partition_of(command.cash_in.user_id, self._installation.partitions)

    @asynccontextmanager
    async def _owning(self) -> AsyncIterator[OwnerHost]:
        environment = self._installation.environment("payments", listen=ANY_PORT)
        settings = PaymentsSettings.from_environ(environment)
        async with AsyncExitStack() as closing:
            ports = await open_owner_ports(settings, "payments", published_topics("payments", ()), closing)
            config = HostConfig(service="payments", address="127.0.0.1:1", read_policy="append")
            rules = HostRules(
                domain=PaymentsDomain(), reactions=(CarryTransits(), EraseMemos()), topics=[Topic(TOPIC)],
                public_event=public_event,
            )  # fmt: skip
            host = OwnerHost(config, ports.host, rules)
            running = asyncio.create_task(host.run())
            await host.wait_ready()
            try:
                yield host
            finally:
                host.stop()
                await running


def cash_ins(count: int) -> Iterator[payments.Command]:
    """Money for so many wallets in turn."""
    return (cash_in(number, number % WALLETS) for number in range(count))


async def _paid(address: str, payer: Payer, payee: Payer) -> None:
    async with Client(address, StateStore(payer.folder)) as client:
        await client.payments.transfer(payee.user_id, 1, timeout_s=DEADLINE_S)


async def measure(given: argparse.Namespace, folder: Path, bars: Bars) -> list[Figure]:
    """All of it in one folder."""
    with ExitStack() as closing:
        kafka = given.journal == "kafka"
        broker = closing.enter_context(KafkaCluster(folder / "kafka", 1)).bootstrap if kafka else ""
        cold, filling = Cold(folder, broker), 0.0
        if not cold.filled_events:
            with bars.step("an installation is made", 16) as advance:
                await cold.prepare(advance)
            with bars.step(f"{given.events:,} events on {given.journal}", given.events) as advance:
                filling = await cold.fill(given.events, advance)
        return await _measured(cold, given, bars, filling)


async def _measured(cold: Cold, given: argparse.Namespace, bars: Bars, filling: float) -> list[Figure]:
    warm: list[float] = []
    with bars.step("from checkpoints", given.starts + 1) as advance:
        for _ in range(given.starts):
            warm.append(await cold.started())
            advance()
        ready, paid = await cold.all_started()
    with bars.step("from zero"), cold.without_store():
        zero = await cold.started()
    told = f"{cold.filled_events:,} cash-ins on {given.journal}, 16 partitions, store SQLite"

    def figure(name: str, seconds: float, how: str) -> Figure:
        return Figure("cold start", name, seconds, "s", f"{told}; {how}")

    runs = f"the longest of {given.starts} starts"
    return [
        figure("payments alone, from checkpoints", max(warm), f"until ready, {runs}"),
        figure("all services, from checkpoints", ready, "until all are ready"),
        figure("all services, first payments", paid, "until each partition has made a payment for a client"),
        figure("payments alone, no store", zero, f"until ready, {cold.filled_events / zero:,.0f} events/s"),
        *([figure("filling", filling, f"{given.events / filling:,.0f} events/s, with store")] if filling else []),
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
