"""How long payments need to start on a long log: `make bench-cold`, or

    python -m bench.cold [--events 1000000] [--journal sqlite|kafka] [--starts 3] [--json]

An installation is made, one person signs in for each partition, and it is ended. Then an owner of payments in this
process fills its log with cash-ins (one event each) and its store. What is measured is the process of payments as it
is: from its start until it says that it is ready, with the store's checkpoints at the end of the log, and with no store
at all; then the whole installation, until each partition has made a payment for a client. Stores are SQLite: no
database of MongoDB's protocol that is to be had here stores millions of documents in a time worth waiting for.
Writes `bench/out/cold-JOURNAL.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
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
from tools.kafka_server import KafkaServer

WALLETS = 10_000
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
        self._payers: dict[int, Payer] = {}

    async def prepare(self, advance: Advance) -> None:
        """Makes it: one person with money for each partition."""
        async with Stage(self._folder, kafka=self._kafka) as stage:
            for number in range(SEARCHED_MAX):
                person = await stage.person(f"p{number}", set_name=False)
                partition = partition_of(person.user_id, self._installation.partitions)
                if partition not in self._payers:
                    await stage.cash_in(person, CASH_IN_RIALS)
                    self._payers[partition] = Payer(person.folder, person.user_id)
                    advance()
                if len(self._payers) == self._installation.partitions:
                    return
        raise RuntimeError("people do not spread over all partitions")

    async def fill(self, events: int, advance: Advance) -> float:
        """Books so many cash-ins, evenly over the partitions, and stores them; the seconds it took."""
        began = time.monotonic()
        async with self._owning() as host:
            await book(host, cash_ins(events), advance, partition_of=self._partition)
            async with asyncio.timeout(STORED_S_MAX):
                while any(health.checkpoint < health.offset for health in host.health()):
                    await asyncio.sleep(0.1)
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
            payers = [*self._payers.values()]
            pairs = zip(payers, [*payers[1:], payers[0]], strict=True)
            await asyncio.gather(*(_paid(stage.up.gateway_address, payer, payee) for payer, payee in pairs))
            return ready, time.monotonic() - began

    def lose_store(self) -> None:
        """Deletes the store of payments."""
        for path in (self._installation.data_dir / "payments").glob("store.db*"):
            path.unlink()

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


async def measure(given: argparse.Namespace, bars: Bars) -> list[Figure]:
    """All of it on one folder."""
    with tempfile.TemporaryDirectory(prefix="chapar-bench-") as scratch, ExitStack() as closing:
        folder = Path(scratch)
        kafka = given.journal == "kafka"
        broker = closing.enter_context(KafkaServer(folder / "kafka")).bootstrap if kafka else ""
        cold = Cold(folder, broker)
        with bars.step("an installation is made", 16) as advance:
            await cold.prepare(advance)
        empty = [await cold.started() for _ in range(given.starts)]
        with bars.step(f"{given.events:,} events on {given.journal}", given.events) as advance:
            filled = await cold.fill(given.events, advance)
        with bars.step("from checkpoints", given.starts + 1) as advance:
            warm = []
            for _ in range(given.starts):
                warm.append(await cold.started())
                advance()
            ready, paid = await cold.all_started()
        with bars.step("from zero"):
            cold.lose_store()
            zero = await cold.started()
    told = f"{given.events:,} cash-ins on {given.journal}, 16 partitions, store SQLite"

    def figure(name: str, seconds: float, how: str) -> Figure:
        return Figure("cold start", name, seconds, "s", f"{told}; {how}")

    runs = f"the longest of {given.starts} starts"
    return [
        figure("payments alone, log empty", max(empty), f"until ready, {runs}; nothing to fold"),
        figure("payments alone, from checkpoints", max(warm), f"until ready, {runs}"),
        figure("all services, from checkpoints", ready, "until all are ready"),
        figure("all services, first payments", paid, "until each partition has made a payment for a client"),
        figure("payments alone, no store", zero, f"until ready, {given.events / zero:,.0f} events/s"),
        figure("filling", filled, f"{given.events / filled:,.0f} events/s, store and relay included"),
    ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--journal", choices=("sqlite", "kafka"), default="kafka")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    with Bars() as bars:
        figures = asyncio.run(measure(given, bars))
    tell(f"cold-{given.journal}", figures, as_json=given.json)


if __name__ == "__main__":
    main()
