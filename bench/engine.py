"""Figures of the engine in one process: an owner of payments alone, on SQLite with one fsync a block, and the fold."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.figures import Figure, percentile
from bench.progress import Bars
from bench.pure import PureOwner
from bench.rig import AT_ONCE, all_records, book, cash_in, owning, spread, stored, to_one
from chapar.payments.journal.v1 import journal_pb2 as payments
from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_payments.domain import PaymentsDomain
from chapar_sourcing.adapters.sqlite import SqliteJournal
from chapar_sourcing.digest import refold
from chapar_sourcing.fold import FoldState, fold
from chapar_sourcing.ports import JournalRecord

WALLETS = 1_000
TRANSFERS = 20_000
RUN = 1_000


async def owner_figures(bars: Bars) -> list[Figure]:
    """Books transfers through one owner alone, then through one on files, then folds what that has written."""
    figures = [_pure(bars, "between 1,000 wallets", spread), _pure(bars, "to one hot wallet", to_one)]
    with tempfile.TemporaryDirectory(prefix="chapar-bench-") as scratch:
        folder = Path(scratch)
        async with owning(folder) as host:
            with bars.step(f"owner: {WALLETS:,} wallets", WALLETS) as advance:
                await book(host, [cash_in(number, number) for number in range(WALLETS)], advance)
            with bars.step(f"owner: transfers between {WALLETS:,} wallets", TRANSFERS) as advance:
                booked = await book(host, spread(0, TRANSFERS, WALLETS), advance)
                figures += _booked("between 1,000 wallets", *booked)
            await stored(host)
            with bars.step("owner: transfers to one wallet", TRANSFERS) as advance:
                booked = await book(host, to_one(TRANSFERS, TRANSFERS, WALLETS), advance)
                figures += _booked("to one hot wallet", *booked)
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


def _pure(bars: Bars, name: str, transfers: Callable[[int, int, int], list[payments.Command]]) -> Figure:
    owner = PureOwner()
    owner.book(owner.commands([cash_in(number, number) for number in range(WALLETS)]))
    commands = owner.commands(transfers(0, TRANSFERS, WALLETS))
    with bars.step(f"owner alone: transfers {name}", TRANSFERS) as advance:
        seconds = [owner.book(commands[n : n + RUN], advance) for n in range(0, TRANSFERS, RUN)]
    how = f"no event loop, no disk; median of {len(seconds)} runs of {RUN:,}, by CPU time"
    return Figure("owner", f"alone, transfers {name}", RUN / statistics.median(seconds), "transfers/s", how)


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
