"""An owner of payments in this process, on SQLite files, with commands to keep it busy."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bench.progress import Advance
from chapar.payments.journal.v1 import journal_pb2 as payments
from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_payments.domain import PaymentsDomain
from chapar_sourcing.adapters.sqlite import SqliteJournal, SqliteMembers, SqliteStore, SqliteStream
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.hosting import HostConfig, HostPorts, HostRules, Request
from chapar_sourcing.ports import JournalRecord
from chapar_sourcing.requests import make_request_id

AT_ONCE = 1_000
RICH_RIALS = 1_000_000_000
STORED_SECONDS_MAX = 60


def cash_in(number: int, user: int) -> payments.Command:
    """Money for a user."""
    return payments.Command(
        cash_in=payments.CashIn(transfer_id=f"c{number}", user_id=f"u{user}", amount_rials=RICH_RIALS, reference="b")
    )


def transfer(number: int, payer: int, payee: int) -> payments.Command:
    """One rial from user to user, within the partition."""
    return payments.Command(
        transfer=payments.Transfer(
            transfer_id=f"t{number}", payer_user_id=f"u{payer}", payee_user_id=f"u{payee}", amount_rials=1
        )
    )


def spread(first: int, count: int, wallets: int) -> list[payments.Command]:
    """Transfers from each of `wallets` to each other one in turn, numbered from `first`."""
    return [transfer(first + n, n % wallets, (n + 1 + n // wallets) % wallets) for n in range(count)]


def to_one(first: int, count: int, wallets: int) -> list[payments.Command]:
    """Transfers to the first of `wallets` from all others in turn."""
    return [transfer(first + n, 1 + n % (wallets - 1), 0) for n in range(count)]


def request(body: payments.Command) -> Request:
    """A command as an API handler would make it."""
    now_ms = time.time_ns() // 1_000_000
    return Request(
        actor=journal.Actor(system="bench"),
        request_id=make_request_id(now_ms, os.urandom(10)),
        content_hash=bytes(32),
        content_key_id="bench",
        body=body,
        deadline_ms=now_ms + 60_000,
    )


@asynccontextmanager
async def owning(folder: Path) -> AsyncIterator[OwnerHost]:
    """A host that owns the one partition of the files in `folder`; in the end everything is in the store."""
    ports = HostPorts(
        journal=await SqliteJournal.open(folder / "journal.db", partitions=1),
        store=await SqliteStore.open(folder / "store.db"),
        members=await SqliteMembers.open(folder / "members"),
        stream=await SqliteStream.open(folder / "streams", service="payments", partitions=1),
    )
    config = HostConfig(service="payments", address="127.0.0.1:1", read_policy="append", tick_interval_ms=5)
    host = OwnerHost(config, ports, HostRules(domain=PaymentsDomain()))
    running = asyncio.create_task(host.run())
    await host.wait_ready()
    try:
        yield host
    finally:
        host.stop()
        await running


async def book(
    host: OwnerHost, commands: Sequence[payments.Command], advance: Advance, *, at_once: int = AT_ONCE
) -> tuple[float, list[float]]:
    """Submits commands, `at_once` in flight; returns seconds in all and of each.

    Beyond the bounded backlog of the projector the owner refuses, and the command is tried again: so the figure is
    what log and store sustain together.
    """
    waiting = iter(commands)
    latencies: list[float] = []

    async def worker() -> None:
        for command in waiting:
            start = time.perf_counter()
            made = request(command)
            while (outcome := await host.submit(0, made)).reason == "REASON_OVERLOADED":
                await asyncio.sleep(0.02)
            latencies.append(time.perf_counter() - start)
            advance()
            if outcome.entry is None or not outcome.entry.HasField("events"):
                raise RuntimeError(f"a command of the benchmark was refused: {outcome}")

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())
    return time.perf_counter() - start, latencies


async def stored(host: OwnerHost) -> None:
    """Returns once the store has all that was booked: what it lacked is then no burden of what is measured next."""
    async with asyncio.timeout(STORED_SECONDS_MAX):
        while any(health.checkpoint < health.offset for health in host.health()):
            await asyncio.sleep(0.02)


async def all_records(path: Path) -> Sequence[JournalRecord]:
    """Everything in partition 0 of a journal file."""
    log = await SqliteJournal.open(path, partitions=1)
    records: list[JournalRecord] = []
    while chunk := await log.read(0, records[-1].offset + 1 if records else 0):
        records.extend(chunk)
    await log.close()
    return records
