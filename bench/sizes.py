"""Bytes that a payment takes in journal and store, and memory that processes take: `python -m bench.sizes [--json]`.

Nothing here depends on how fast the machine is. An owner of payments on SQLite files, in this process, books transfers
as they come from people: ids of their real length, sealed memos. Once all at once between wallets of one partition
(blocks are full, and nothing travels), and once one after the other to another partition, with a memo of 32 bytes.
Counted are records of the journal, the payee's side and empty blocks among them, and documents with their keys, answers
included; not what SQLite, Kafka or MongoDB add. Memory is what each of five processes on files holds once it is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.figures import Figure
from bench.report import tell
from bench.rig import request
from chapar.payments.journal.v1 import journal_pb2 as payments
from chapar_chassis.user_ids import UserIds
from chapar_client.demo import Stage
from chapar_client.doctor import look_at_processes
from chapar_client.owners import endpoints
from chapar_payments.domain import PaymentsDomain
from chapar_payments.ledger import Ledger, Touched
from chapar_payments.measures import PAYMENTS
from chapar_payments.reactors.transits import CarryTransits
from chapar_sourcing.adapters.sqlite import SqliteJournal, SqliteMembers, SqliteStore, SqliteStream
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.hosting import HostConfig, HostPorts, HostRules
from chapar_sourcing.measures import HeldMeasures
from chapar_sourcing.partitions import partition_of

TRANSFERS = 2_000
ALONE = 100
"""Those that are booked one after the other."""
RICH_RIALS = 1_000_000_000
MEMO_BYTES = 32 + 16
"""Sealed: 16 bytes of tag on top."""
USER_IDS = UserIds(b"u" * 32)
WAIT_S_MAX = 120.0
STILL = 20
"""Looks, 0.05 s from each other."""


def users(partitions: int) -> Sequence[Sequence[str]]:
    """Ten users of each partition."""
    minted = [USER_IDS.mint(seed.to_bytes(10, "big")) for seed in range(40 * partitions)]
    return [[user for user in minted if partition_of(user, partitions) == number][:10] for number in range(partitions)]


def cash_in(number: int, user: str) -> payments.Command:
    """Money for a user."""
    body = payments.CashIn(transfer_id=f"{number:032x}", user_id=user, amount_rials=RICH_RIALS, reference="bench")
    return payments.Command(cash_in=body)


def transfer(number: int, payer: str, payee: str, *, across: bool) -> payments.Command:
    """A payment as the service's API makes it."""
    body = payments.Transfer(
        transfer_id=f"{number:032x}", payer_user_id=payer, payee_user_id=payee, amount_rials=125_000,
        payee_partition=int(across),
    )  # fmt: skip
    if across:
        body.memo.key_id, body.memo.nonce, body.memo.ciphertext = "k" * 22, bytes(12), bytes(MEMO_BYTES)
    return payments.Command(transfer=body)


async def measure(folder: Path, *, across: bool) -> tuple[float, float]:
    """Bytes a transfer in the journal and in the store."""
    partitions = 2 if across else 1
    journal = await SqliteJournal.open(folder / "journal.db", partitions=partitions)
    store = await SqliteStore.open(folder / "store.db")
    members = await SqliteMembers.open(folder / "members")
    stream = await SqliteStream.open(folder / "streams", service="payments", partitions=partitions)
    reaction = CarryTransits(Ledger(Touched(set), HeldMeasures(PAYMENTS)))
    host = OwnerHost(
        HostConfig(service="payments", address="127.0.0.1:1", read_policy="append"),
        HostPorts(journal=journal, store=store, members=members, stream=stream),
        HostRules(domain=PaymentsDomain(), reactions=(reaction,)),
    )
    running = asyncio.create_task(host.run())
    try:
        await host.wait_ready()
        people = users(partitions)
        await _booked(host, [cash_in(number, user) for number, user in enumerate(people[0])])
        await _stored(host)
        before = await _taken(journal, store, partitions)
        count = ALONE if across else TRANSFERS
        payees = people[1] if across else [*people[0][1:], people[0][0]]
        commands = [
            transfer(number, people[0][number % 10], payees[number % 10], across=across) for number in range(count)
        ]
        for batch in [[one] for one in commands] if across else [commands]:
            await _booked(host, batch)
        await _stored(host)
        after = await _taken(journal, store, partitions)
        return (after[0] - before[0]) / count, (after[1] - before[1]) / count
    finally:
        host.stop()
        await running


async def _booked(host: OwnerHost, commands: Sequence[payments.Command]) -> None:
    for outcome in await asyncio.gather(*(host.submit(0, request(command)) for command in commands)):
        if outcome.entry is None or not outcome.entry.HasField("events"):
            raise RuntimeError(f"a command of the benchmark was refused: {outcome.reason}")


async def _stored(host: OwnerHost) -> None:
    """Returns once logs and checkpoints have stood still for a second: a store does not follow a claim, so that the two
    need not meet."""
    async with asyncio.timeout(WAIT_S_MAX):
        seen, still = None, 0
        while still < STILL:
            now = [(health.offset, health.checkpoint) for health in host.health()]
            seen, still = now, still + 1 if now == seen else 0
            await asyncio.sleep(0.05)


async def _taken(journal: SqliteJournal, store: SqliteStore, partitions: int) -> tuple[int, int]:
    records, documents = 0, 0
    for partition in range(partitions):
        offset = 0
        while page := await journal.read(partition, offset):
            records += sum(len(record.data) for record in page)
            offset = page[-1].offset + 1
        after = None
        while found := await store.documents(partition, at_least=-1, after=after):
            documents += sum(len(one.data or b"") + sum(map(len, key)) for key, one in found)
            after = found[-1][0]
    return records, documents


async def figures() -> list[Figure]:
    """Both ways."""
    made = []
    for across, how in ((False, f"{TRANSFERS} at once, one partition, no memo"),
                        (True, f"{ALONE} one by one, to another partition, a memo of 32 bytes")):  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="chapar-bench-") as scratch:
            journal, store = await measure(Path(scratch), across=across)
        made.append(Figure("sizes", "bytes a payment in the journal", journal, "bytes", how))
        made.append(Figure("sizes", "bytes a payment in the store", store, "bytes", how))
    return [*made, *await _memory()]


async def _memory() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="chapar-bench-") as scratch:
        async with Stage(Path(scratch)) as stage:
            found = await look_at_processes(endpoints(stage.data_dir))
    held = [(one.name, one.most("process_resident_memory_bytes") or 0.0) for one in found]
    return [
        Figure("sizes", f"memory of {name}", value / 1e6, "MB", "ready, on files, nobody there") for name, value in held
    ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Bytes that payments take.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    tell("sizes", asyncio.run(figures()), as_json=given.json)


if __name__ == "__main__":
    main()
