"""Figures of the engine in one process: the fold, and an owner of payments on SQLite with one fsync a block."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.figures import Figure, percentile
from bench.progress import Bars
from bench.rig import AT_ONCE, all_records, book, cash_in, owning, transfer
from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_payments.domain import PaymentsDomain
from chapar_sourcing.adapters.sqlite import SqliteJournal
from chapar_sourcing.digest import refold
from chapar_sourcing.fold import FoldState, fold
from chapar_sourcing.ports import JournalRecord

WALLETS = 1_000
TRANSFERS = 20_000


async def owner_figures(bars: Bars) -> list[Figure]:
    """Books transfers through one owner, then folds what it has written."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="chapar-bench-") as scratch:
        folder = Path(scratch)
        async with owning(folder) as host:
            with bars.step(f"owner: {WALLETS:,} wallets", WALLETS) as advance:
                await book(host, [cash_in(number, number) for number in range(WALLETS)], advance)
            spread = [transfer(n, n % WALLETS, (n + 1 + n // WALLETS) % WALLETS) for n in range(TRANSFERS)]
            with bars.step(f"owner: transfers between {WALLETS:,} wallets", TRANSFERS) as advance:
                figures += _booked("between 1,000 wallets", *await book(host, spread, advance))
            hot = [transfer(TRANSFERS + n, 1 + n % (WALLETS - 1), 0) for n in range(TRANSFERS)]
            with bars.step("owner: transfers to one wallet", TRANSFERS) as advance:
                figures += _booked("to one hot wallet", *await book(host, hot, advance))
        with bars.step("fold: reading the log back"):
            records = await all_records(folder / "journal.db")
            figures += _folded(records)
            log = await SqliteJournal.open(folder / "journal.db", partitions=1)
            start = time.perf_counter()
            await refold(log, 0, PaymentsDomain())
            seconds = time.perf_counter() - start
            await log.close()
        rate = _events(records) / seconds
        figures.append(Figure("fold", "fold and evolve", rate, "events/s", "refold from zero, documents and answers"))
    return figures


def _booked(name: str, seconds: float, latencies: list[float]) -> list[Figure]:
    count = len(latencies)
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
