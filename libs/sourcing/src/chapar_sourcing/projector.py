"""Brings the documents of one partition to the store, then its checkpoint, and tells the owner.

It never skips: what cannot be written now is written again, the same batch, until it is. How far it is behind is a
measure, and readiness shows what stops it. Now and then it deletes from the store what is too old, see `purging`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from chapar_sourcing.measures import Measures
from chapar_sourcing.owner import CheckpointConfirmed, ProjectionBatch
from chapar_sourcing.ports import DocumentWrite, Store, Unavailable
from chapar_sourcing.purging import Purger
from chapar_sourcing.shell import OwnerShell

BACKOFF_SECONDS_MIN = 0.05
BACKOFF_SECONDS_MAX = 1.0


class Projector:
    """One partition's projector."""

    def __init__(
        self, *, shell: OwnerShell, store: Store, purger: Purger, measures: Measures, linger_ms: int,
        documents_max: int, chance: Callable[[], float],
        on_written: Callable[[Sequence[DocumentWrite]], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`chance` draws a number from 0 up to 1: projectors that failed together must not come back in step."""
        self._shell = shell
        self._store = store
        self._purger = purger
        self._measures = measures
        self._linger_ms = linger_ms
        self._documents_max = documents_max
        self._chance = chance
        self._on_written = on_written
        self.problem = ""
        """What stops it; empty while it moves."""
        self._finishing = asyncio.Event()
        self._writing = asyncio.Lock()
        self._live: Store | None = None
        """The live edition, once it is known: a round is stored in one edition as a whole."""

    @property
    def lag(self) -> int:
        """Offsets between what the owner has folded and the confirmed checkpoint."""
        return self._shell.owner.fold.offset - self._shell.owner.confirmed_checkpoint

    async def run(self) -> None:
        """Projects until `finish`, and then until nothing is left."""
        while True:
            if await self._round():
                continue
            if self._finishing.is_set():
                return
            await self._something()

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Between two rounds: the store stays at its checkpoint, and another edition may be made the live one."""
        async with self._writing:
            try:
                yield
            finally:
                self._live = None

    async def _round(self) -> bool:
        """Stores one round; False when there is nothing to store."""
        async with self._writing:
            stored = False
            while await self._batch():
                stored = True
                if not self._shell.owner.projecting:
                    break
            return stored

    async def _batch(self) -> bool:
        """Writes one batch, however often it takes; False when there is nothing to write."""
        batch = self._shell.owner.take_projection(self._documents_max)
        if batch is None:
            return False
        backoff = BACKOFF_SECONDS_MIN
        while not await self._written(batch):
            await asyncio.sleep(backoff * (0.5 + self._chance() / 2))
            backoff = min(backoff * 2, BACKOFF_SECONDS_MAX)
        self._on_written(batch.documents)
        await self._shell.tell(CheckpointConfirmed(batch.checkpoint.fold.offset))
        self._measures.count("documents_projected", len(batch.documents))
        if self._shell.owning and not self._finishing.is_set():
            await self._purger.step(self._shell.owner.confirmed_time_ms)
        return True

    def finish(self) -> None:
        """Makes `run` write all there is and return: no more blocks will come."""
        self._finishing.set()

    async def _something(self) -> None:
        """Returns a little after the next block, so that documents gather, or at once when finishing."""
        finishing = asyncio.ensure_future(self._finishing.wait())
        applied = asyncio.ensure_future(self._shell.applied.wait())
        try:
            await asyncio.wait((finishing, applied), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((finishing,), timeout=self._linger_ms / 1000)
        finally:
            finishing.cancel()
            applied.cancel()

    async def _written(self, batch: ProjectionBatch) -> bool:
        try:
            if self._live is None:
                self._live = self._store.at((await self._store.editions(self._shell.partition)).live)
            await self._live.write_documents(self._shell.partition, batch.documents)
            await self._live.write_checkpoint(self._shell.partition, batch.checkpoint)
        except Unavailable as error:
            self.problem = f"the store cannot be written at offset {batch.checkpoint.fold.offset}: {error}"
            self._measures.count("projections_failed")
            return False
        except ValueError:
            self.problem = "the store belongs to another journal"
            self._shell.raise_alarm(self.problem)
            raise
        self.problem = ""
        return True
