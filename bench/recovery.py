"""Figures of coming back: memory a hot document, taking over from a checkpoint, from a tail, and from nothing."""

from __future__ import annotations

import shutil
import tempfile
import time
import tracemalloc
from pathlib import Path

from bench.figures import Figure
from bench.progress import Bars
from bench.rig import book, cash_in, owning, transfer
from chapar_payments.domain.documents import Wallet, wallet_key
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.owner.memory import Memory, Slot
from chapar_sourcing.positions import Position

WALLETS = 50_000
"""Each has a wallet and one line of its statement: 100,000 documents."""
TAIL_TRANSFERS = 10_000
HELD = 100_000


async def recovery_figures(bars: Bars) -> list[Figure]:
    """Fills a partition with 100,000 documents, then takes it over in three states of its store."""
    with bars.step(f"memory: {HELD:,} wallets"):
        figures = [_memory()]
    with tempfile.TemporaryDirectory(prefix="chapar-bench-") as scratch:
        folder = Path(scratch)
        async with owning(folder) as host:
            with bars.step(f"recovery: {2 * WALLETS:,} documents", WALLETS) as advance:
                await book(host, [cash_in(number, number) for number in range(WALLETS)], advance)
        shutil.copy(folder / "store.db", folder / "older.db")
        with bars.step("recovery: take-over from a checkpoint at the end"):
            figures.append(await _taken_over(folder, "take-over, checkpoint at the end", "100,000 documents stored"))
        async with owning(folder) as host:
            with bars.step("recovery: a tail", TAIL_TRANSFERS) as advance:
                transfers = [transfer(n, n % WALLETS, (n * 7 + 1) % WALLETS) for n in range(TAIL_TRANSFERS)]
                await book(host, transfers, advance)
        _put_store(folder, folder / "older.db")
        how = f"100,000 documents stored, {TAIL_TRANSFERS:,} transfers after the checkpoint"
        with bars.step("recovery: take-over with a tail"):
            figures.append(await _taken_over(folder, f"take-over, tail of {TAIL_TRANSFERS:,} events", how))
        _put_store(folder, None)
        events = WALLETS + TAIL_TRANSFERS
        with bars.step("recovery: from zero"):
            start = time.perf_counter()
            async with owning(folder) as host:
                figures.append(_seconds("take-over, empty store", start, f"{events:,} events folded and evolved"))
                end = host.offset(0)
            seconds = time.perf_counter() - start
        how = f"{events:,} events up to offset {end}, until everything is in the store again"
        figures.append(Figure("recovery", "rebuild from zero", events / seconds, "events/s", how))
        figures.append(Figure("recovery", "rebuild from zero, in all", seconds, "s", how))
    return figures


async def _taken_over(folder: Path, name: str, how: str) -> Figure:
    start = time.perf_counter()
    async with owning(folder) as host:
        figure = _seconds(name, start, f"{how}; files opened, claimed, ready, first read")
        await _first_read(host)
    return figure


async def _first_read(host: OwnerHost) -> None:
    found = await host.read(0, lambda view: view.get(wallet_key("u1")), deadline_ms=host.now_ms + 20_000)
    if wallet_key("u1") not in found:
        raise RuntimeError("the partition that was taken over lacks a wallet")


def _seconds(name: str, start: float, how: str) -> Figure:
    return Figure("recovery", name, time.perf_counter() - start, "s", how)


def _put_store(folder: Path, older: Path | None) -> None:
    for path in folder.glob("store.db*"):
        path.unlink()
    if older is not None:
        shutil.copy(older, folder / "store.db")


def _memory() -> Figure:
    tracemalloc.start()
    memory = Memory()
    for number in range(HELD):
        memory.hold(wallet_key(f"user-{number:021d}"), Slot(Wallet(number, number), Position(number, 0)))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    how = f"{HELD:,} wallets with ids of 26 characters: key, slot, document, place in its group"
    return Figure("recovery", "memory a hot document", held / len(memory), "bytes", how)
