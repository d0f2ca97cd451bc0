"""Figures of the engine in one process: the fold, and an owner of payments on SQLite with one fsync a block."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.figures import Figure, percentile
from chapar.payments.journal.v1 import journal_pb2 as payments
from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_payments.domain import PaymentsDomain
from chapar_sourcing.adapters.sqlite import SqliteJournal, SqliteMembers, SqliteStore, SqliteStream
from chapar_sourcing.digest import refold
from chapar_sourcing.fold import FoldState, fold
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.hosting import HostConfig, HostPorts, HostRules, Request
from chapar_sourcing.ports import JournalRecord
from chapar_sourcing.requests import make_request_id

Progress = Callable[[str], None]
WALLETS = 1_000
TRANSFERS = 20_000
AT_ONCE = 1_000
RICH_RIALS = 1_000_000_000


def _request(body: payments.Command) -> Request:
    now_ms = time.time_ns() // 1_000_000
    return Request(
        actor=journal.Actor(system="bench"),
        request_id=make_request_id(now_ms, os.urandom(10)),
        content_hash=bytes(32),
        content_key_id="bench",
        body=body,
        deadline_ms=now_ms + 60_000,
    )


def _cash_in(number: int) -> payments.Command:
    return payments.Command(
        cash_in=payments.CashIn(transfer_id=f"c{number}", user_id=f"u{number}", amount_rials=RICH_RIALS, reference="b")
    )


def _transfer(number: int, payer: int, payee: int) -> payments.Command:
    return payments.Command(
        transfer=payments.Transfer(
            transfer_id=f"t{number}", payer_user_id=f"u{payer}", payee_user_id=f"u{payee}", amount_rials=1
        )
    )


async def _book(host: OwnerHost, commands: Sequence[payments.Command]) -> tuple[float, list[float]]:
    """Submits commands, `AT_ONCE` in flight; returns seconds in all and of each.

    Beyond the bounded backlog of the projector the owner refuses, and the command is tried again: so the figure is
    what log and store sustain together.
    """
    waiting = iter(commands)
    latencies: list[float] = []

    async def worker() -> None:
        for command in waiting:
            start = time.perf_counter()
            request = _request(command)
            while (outcome := await host.submit(0, request)).reason == "REASON_OVERLOADED":
                await asyncio.sleep(0.02)
            latencies.append(time.perf_counter() - start)
            if outcome.entry is None or not outcome.entry.HasField("events"):
                raise RuntimeError(f"a command of the benchmark was refused: {outcome}")

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())
    return time.perf_counter() - start, latencies


async def _records(path: Path) -> Sequence[JournalRecord]:
    log = await SqliteJournal.open(path, partitions=1)
    records: list[JournalRecord] = []
    while chunk := await log.read(0, records[-1].offset + 1 if records else 0):
        records.extend(chunk)
    await log.close()
    return records


async def owner_figures(progress: Progress) -> list[Figure]:
    """Books transfers through one owner, then folds what it has written."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="chapar-bench-") as scratch:
        folder = Path(scratch)
        ports = HostPorts(
            journal=await SqliteJournal.open(folder / "journal.db", partitions=1),
            store=await SqliteStore.open(folder / "store.db"),
            members=await SqliteMembers.open(folder / "members"),
            stream=await SqliteStream.open(folder / "streams", service="payments", partitions=1),
        )
        config = HostConfig(service="payments", address="127.0.0.1:1", read_policy="append")
        host = OwnerHost(config, ports, HostRules(domain=PaymentsDomain()))
        running = asyncio.create_task(host.run())
        await host.wait_ready()
        progress(f"owner: {WALLETS} wallets")
        await _book(host, [_cash_in(number) for number in range(WALLETS)])
        progress(f"owner: {TRANSFERS} transfers between {WALLETS} wallets")
        spread = [_transfer(n, n % WALLETS, (n + 1 + n // WALLETS) % WALLETS) for n in range(TRANSFERS)]
        figures += _booked("between 1,000 wallets", len(spread), *await _book(host, spread))
        progress(f"owner: {TRANSFERS} transfers to one wallet")
        hot = [_transfer(TRANSFERS + n, 1 + n % (WALLETS - 1), 0) for n in range(TRANSFERS)]
        figures += _booked("to one hot wallet", len(hot), *await _book(host, hot))
        host.stop()
        await running
        progress("fold: reading the log back")
        records = await _records(folder / "journal.db")
        figures += _folded(records)
        log = await SqliteJournal.open(folder / "journal.db", partitions=1)
        start = time.perf_counter()
        await refold(log, 0, PaymentsDomain())
        seconds = time.perf_counter() - start
        await log.close()
        events = _events(records)
        figures.append(
            Figure("fold", "fold and evolve", events / seconds, "events/s", "refold from zero, documents and answers")
        )
    return figures


def _booked(name: str, count: int, seconds: float, latencies: list[float]) -> list[Figure]:
    how = f"{count} transfers, {AT_ONCE} at once, SQLite synchronous=FULL"
    return [
        Figure("owner", f"booked transfers {name}", count / seconds, "transfers/s", how),
        Figure("owner", f"latency p50 {name}", percentile(latencies, 0.5) * 1000, "ms", how),
        Figure("owner", f"latency p99 {name}", percentile(latencies, 0.99) * 1000, "ms", how),
    ]


def _events(records: Sequence[JournalRecord]) -> int:
    parsed = (journal.Record.FromString(record.data) for record in records)
    return sum(len(entry.events.events) for record in parsed for entry in record.block.entries)


def _folded(records: Sequence[JournalRecord]) -> list[Figure]:
    start = time.perf_counter()
    state = FoldState()
    for record in records:
        state, _, _ = fold(state, record.offset, record.data)
    seconds = time.perf_counter() - start
    events = _events(records)
    entries = events / max(1, state.sequence)
    how = f"{events} events in {state.sequence} blocks, {entries:.0f} a block"
    return [Figure("fold", "fold rule alone", events / seconds, "events/s", how)]
